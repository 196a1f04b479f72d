// What came of the requests of each kind of client, and what should not have happened.

const SHOWN = 10;

/** The count of a whole run. */
export class Tally {
  kinds = {};
  lost = {};
  faults = [];

  constructor(fleet) {
    this.fleet = fleet;
    this.begun = performance.now();
  }

  of(kind) {
    this.kinds[kind] ??= { answered: 0, lost: 0, 'given up': 0, moved: 0 };
    return this.kinds[kind];
  }

  /** An answer that was not the right one, or a loss without an excuse. */
  fault(what) {
    this.faults.push(what);
    const seconds = ((performance.now() - this.begun) / 1_000).toFixed(1);
    if (this.faults.length <= SHOWN) console.log(`FAULT   at ${seconds} s: ${what}`);
  }

  /**
   * A request without an answer: allowed if its backend was killed meanwhile, or had to be gone.
   * @param {string} kind
   * @param {string} reason
   * @param {{home: string | null, from: number, to: number}} span
   */
  loses(kind, reason, span) {
    this.of(kind).lost += 1;
    const excuse = this.fleet.excuse(span);
    const entry = `${reason} (${excuse ?? 'no excuse'})`;
    this.lost[entry] = (this.lost[entry] ?? 0) + 1;
    if (excuse) return;
    this.fault(`${kind}: lost (${reason}) at ${span.home}, after ${Math.round(span.to - span.from)} ms, and nothing excuses it`);
  }
}
