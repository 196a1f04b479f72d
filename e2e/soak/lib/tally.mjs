// What came of the requests of each kind of client, and what should not have happened.

const SHOWN = 10;

/** The count of a whole run. */
export class Tally {
  kinds = {};
  lost = {};
  faults = [];

  constructor(fleet) {
    this.fleet = fleet;
  }

  of(kind) {
    this.kinds[kind] ??= { answered: 0, lost: 0, 'given up': 0, moved: 0 };
    return this.kinds[kind];
  }

  /** An answer that was not the right one, or a loss without an excuse. */
  fault(what) {
    this.faults.push(what);
    if (this.faults.length <= SHOWN) console.log(`FAULT   ${what}`);
  }

  /**
   * A request without an answer: allowed if its backend was killed meanwhile.
   * @param {string} kind
   * @param {string} reason
   * @param {{home: string | null, from: number, to: number}} span
   */
  loses(kind, reason, span) {
    this.of(kind).lost += 1;
    this.lost[reason] = (this.lost[reason] ?? 0) + 1;
    if (this.fleet.excuses(span)) return;
    this.fault(`${kind}: lost (${reason}) at ${span.home}, after ${Math.round(span.to - span.from)} ms, and nobody was killed`);
  }
}
