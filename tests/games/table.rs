//! One game: two players and a spectator, from the first move to mate, over everything that happens to their backend.
//!
//! White comes first and makes its first move; whoever comes in later, or again, must find the moves that were made.
//! After a kill all three come back; one half of the rooms replays the game that was lost, the other starts over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Gate;
use super::house::House;
use super::ledger::{Arrival, Ledger, Stamp, Violation};
use super::lines::line;
use super::player::{Outcome, Player, State, Trouble, Who};

/// For a whole game, with everything that may happen to it.
const PATIENCE: Duration = Duration::from_secs(100);

/// Before asking again where one was refused.
const PAUSE: Duration = Duration::from_millis(20);

/// How often people who see that their game is broken try to reload it.
const RELOADS: usize = 3;

/// A board with its people.
pub(crate) struct Table {
    house: Arc<House>,
    room: usize,
    line: &'static [String],
    /// Plies that everybody at the board has seen.
    played: usize,
    people: [Option<Seated>; 3],
    /// The backend was killed, and the game with it.
    lost: bool,
    /// Who has been here before.
    known: [bool; 3],
    progress: Gate,
    reconnect: Reconnect,
}

/// Someone at the board.
struct Seated {
    player: Player,
    backend: String,
    since: Stamp,
}

/// The reconnect in the midst of the game.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reconnect {
    Due,
    Away(Who),
    Done,
}

/// The game cannot go on just like that.
enum Upset {
    /// Someone does not see what should be seen.
    Lost(Loss),
    /// What happened is a violation, and was noted as one.
    Broken,
}

struct Loss {
    who: Who,
    /// Where the connection led to, if that is known.
    backend: Option<String>,
    since: Stamp,
    trouble: Trouble,
}

/// The game is broken; why was noted.
struct Broken;

impl Table {
    pub(crate) fn new(house: Arc<House>, room: usize) -> Self {
        Self {
            house,
            room,
            line: line(room),
            played: 0,
            people: Default::default(),
            lost: false,
            known: Default::default(),
            progress: Gate::Start,
            reconnect: Reconnect::Due,
        }
    }

    /// Plays to mate, or until something happens that should not.
    pub(crate) async fn play(mut self) {
        let room = self.room;
        match timeout(PATIENCE, self.play_on()).await {
            Ok(Ok(())) => self.house.note(|ledger| ledger.mates(room)),
            Ok(Err(Broken)) => self.reload().await,
            Err(_) => self.violated(Violation::Stuck(format!("the game in room {room}"))),
        }
        self.house.note(|ledger| ledger.over(room));
    }

    async fn play_on(&mut self) -> Result<(), Broken> {
        self.house.opened(self.house.begins(self.room), None).await;
        while self.played < self.line.len() {
            if let Err(upset) = self.step().await {
                self.recover(upset).await?;
            }
        }
        Ok(())
    }

    /// Does what is next.
    async fn step(&mut self) -> Result<(), Upset> {
        if let Some(absent) = self.absent() {
            return self.enter(absent).await;
        }
        let gate = self.gate();
        if !self.house.is_open(gate, self.home()) {
            return self.wait_at(gate).await;
        }
        if self.reconnect == Reconnect::Due && self.played >= self.reconnect_ply() {
            self.leave(Who::to_move(self.room));
            return Ok(());
        }
        self.make_move().await
    }

    /// Drops the socket, and with it whatever was under way.
    fn leave(&mut self, who: Who) {
        self.reconnect = Reconnect::Away(who);
        self.people[who as usize] = None;
    }

    /// Who has to come in next. White makes the first move alone.
    fn absent(&self) -> Option<Who> {
        let needed = if self.played == 0 { 1 } else { 3 };
        Who::ALL.into_iter().take(needed).find(|&who| self.people[who as usize].is_none())
    }

    async fn enter(&mut self, who: Who) -> Result<(), Upset> {
        let (room, since) = (self.room, self.house.read(Ledger::stamp));
        let loss = |backend, trouble| Upset::Lost(Loss { who, backend, since, trouble });
        let entered = Player::enter(self.house.proxy(), room, who).await;
        let (player, state) = entered.map_err(|trouble| loss(None, trouble))?;
        let arrival = self.house.note(|ledger| ledger.sees(room, &state.backend, since));
        let mut seated = Seated { player, backend: state.backend.clone(), since };
        match arrival {
            Arrival::Doomed => return Err(seated.loss(who, Trouble::Ended)),
            Arrival::Anew => self.all_come_again(),
            Arrival::Home | Arrival::Astray => {}
        }
        if !self.lost || !state.moves.is_empty() {
            self.inspect(who, &state)?;
        } else if who == Who::White {
            self.bring_back(&mut seated).await?;
        } else {
            return Ok(());
        }
        self.settle(who, seated, arrival)
    }

    /// Whoever is still here talks to a backend that is gone. Coming back to a board that was lost with it proves
    /// nothing, so that reconnect is due again.
    fn all_come_again(&mut self) {
        self.lost = true;
        self.people = Default::default();
        if let Reconnect::Away(_) = self.reconnect {
            self.reconnect = Reconnect::Due;
        }
    }

    /// White does it, on a backend that knows nothing of the game.
    async fn bring_back(&mut self, white: &mut Seated) -> Result<(), Upset> {
        if self.room.is_multiple_of(2) {
            self.played = 0;
        }
        if self.played > 0 {
            let moves = &self.line[..self.played];
            let replayed = async {
                white.player.replay(moves).await?;
                white.player.sees(moves).await
            };
            replayed.await.map_err(|trouble| white.loss(Who::White, trouble))?;
        }
        self.lost = false;
        Ok(())
    }

    /// Whether the board and the seat are as they should be.
    fn inspect(&self, who: Who, state: &State) -> Result<(), Upset> {
        let (room, found) = (self.room, state.moves.len());
        let violation = if state.shows(&self.line[..self.played]) {
            if state.you == who.seat() {
                return Ok(());
            }
            Violation::Disturbed { room, who, trouble: Trouble::Told(format!("you are {}", state.you)) }
        } else if self.known[who as usize] {
            Violation::BoardLost { room, who, left: self.played, found }
        } else {
            Violation::BoardMissed { room, who, made: self.played, found }
        };
        self.violated(violation);
        Err(Upset::Broken)
    }

    fn settle(&mut self, who: Who, seated: Seated, arrival: Arrival) -> Result<(), Upset> {
        if arrival == Arrival::Astray {
            return Err(Upset::Broken);
        }
        if self.reconnect == Reconnect::Away(who) {
            self.reconnect = Reconnect::Done;
            self.house.note(|ledger| ledger.came_back(self.room));
        }
        self.known[who as usize] = true;
        self.people[who as usize] = Some(seated);
        Ok(())
    }

    /// Makes the next move, and sees that everybody at the board sees it.
    async fn make_move(&mut self) -> Result<(), Upset> {
        let turn = Who::to_move(self.played);
        let seated = self.people[turn as usize].as_mut().expect("all have come in");
        let made = seated.player.play(&self.line[self.played]).await;
        made.map_err(|trouble| seated.loss(turn, trouble))?;
        let moves = &self.line[..=self.played];
        let expected = (moves.len() == self.line.len()).then(|| mated_by(turn));
        for (who, seated) in Who::ALL.into_iter().zip(&mut self.people) {
            let Some(seated) = seated else { continue };
            let seen = seated.player.sees(moves).await;
            let state = seen.map_err(|trouble| seated.loss(who, trouble))?;
            if state.outcome != expected || state.backend != seated.backend {
                return Err(seated.loss(who, Trouble::Told(format!("{state:?}"))));
            }
        }
        self.played += 1;
        Ok(())
    }

    /// Waits until a gate opens, or something happens to the people at the board.
    async fn wait_at(&mut self, gate: Gate) -> Result<(), Upset> {
        if self.progress < gate {
            self.progress = gate;
            self.house.note(|ledger| ledger.advances(self.room, gate));
        }
        let home = self.home().map(str::to_owned);
        let moves = &self.line[..self.played];
        let [white, black, spectator] = &mut self.people;
        tokio::select! {
            () = self.house.opened(gate, home.as_deref()) => Ok(()),
            upset = upset(Who::White, white.as_mut(), moves) => Err(upset),
            upset = upset(Who::Black, black.as_mut(), moves) => Err(upset),
            upset = upset(Who::Spectator, spectator.as_mut(), moves) => Err(upset),
        }
    }

    /// What a kill explains is nothing but a reason to come back; all else is a violation.
    async fn recover(&mut self, upset: Upset) -> Result<(), Broken> {
        let Upset::Lost(Loss { who, backend, since, trouble }) = upset else { return Err(Broken) };
        let room = self.room;
        let ended = matches!(trouble, Trouble::Ended | Trouble::Refused(_));
        if !ended || !self.house.read(|ledger| ledger.excuses(room, backend.as_deref(), since)) {
            self.violated(Violation::Disturbed { room, who, trouble });
            return Err(Broken);
        }
        self.all_come_again();
        if trouble != Trouble::Ended {
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// What people do who see that their game is broken. What they find is noted.
    async fn reload(&mut self) {
        for _ in 0..RELOADS {
            self.people[Who::White as usize] = None;
            let _ = self.enter(Who::White).await;
        }
    }

    /// The gate before the next move.
    fn gate(&self) -> Gate {
        let (played, all) = (self.played, self.line.len());
        match () {
            () if played + 1 == all => Gate::Mate,
            () if played * 4 >= all * 3 => Gate::ThreeQuarters,
            () if played * 2 >= all => Gate::Half,
            () if played * 4 >= all => Gate::Quarter,
            () => Gate::Start,
        }
    }

    /// The backend that the game is played on, while somebody is at the board.
    fn home(&self) -> Option<&str> {
        self.people.iter().flatten().map(|seated| seated.backend.as_str()).next()
    }

    /// In the midst of the game, in each room elsewhere.
    fn reconnect_ply(&self) -> usize {
        1 + self.room % (self.line.len() - 1)
    }

    fn violated(&self, violation: Violation) {
        self.house.note(|ledger| ledger.violations.push(violation));
    }
}

impl Seated {
    fn loss(&self, who: Who, trouble: Trouble) -> Upset {
        Upset::Lost(Loss { who, backend: Some(self.backend.clone()), since: self.since, trouble })
    }
}

/// Waits until something happens to someone.
async fn upset(who: Who, seated: Option<&mut Seated>, moves: &[String]) -> Upset {
    match seated {
        Some(seated) => {
            let trouble = seated.player.watch(moves).await;
            seated.loss(who, trouble)
        }
        None => std::future::pending().await,
    }
}

fn mated_by(winner: Who) -> Outcome {
    Outcome { winner: Some(winner.seat().to_owned()), reason: "checkmate".to_owned() }
}
