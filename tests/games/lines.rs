//! Games of chess from the first move to mate: known ones, made longer by random moves that do not prevent the mate.
//! The same number gives the same game in every run.

use std::collections::HashSet;
use std::sync::LazyLock;

use cozy_chess::util::{display_uci_move, parse_uci_move};
use cozy_chess::{Board, GameStatus, Move};

use super::MOST_ROOMS;

/// Fool's, Scholar's, Légal's, Caro-Kann smothered, Réti against Tartakower 1910, Morphy at the opera 1858.
const MATES: [&str; 6] = [
    "f2f3 e7e5 g2g4 d8h4",
    "e2e4 e7e5 d1h5 b8c6 f1c4 g8f6 h5f7",
    "e2e4 e7e5 g1f3 d7d6 f1c4 c8g4 b1c3 g7g6 f3e5 g4d1 c4f7 e8e7 c3d5",
    "e2e4 c7c6 d2d4 d7d5 b1c3 d5e4 c3e4 b8d7 d1e2 g8f6 e4d6",
    "e2e4 c7c6 d2d4 d7d5 b1c3 d5e4 c3e4 g8f6 d1d3 e7e5 d4e5 d8a5 c1d2 a5e5 e1c1 f6e4 d3d8 e8d8 d2g5 d8c7 g5d8",
    "e2e4 e7e5 g1f3 d7d6 d2d4 c8g4 d4e5 g4f3 d1f3 d6e5 f1c4 g8f6 f3b3 d8e7 b1c3 c7c6 c1g5 b7b5 c3b5 c6b5 c4b5 \
     b8d7 e1c1 a8d8 d1d7 d8d7 h1d1 e7e6 b5d7 f6d7 b3b8 d7b8 d1d8",
];

/// A game is made longer by up to so many moves of both sides.
const EXTRA: usize = 6;

static LINES: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| (0..MOST_ROOMS).map(longer_mate).collect());

/// The game of a room, in UCI notation. No position comes twice; the last move, and none before, mates.
pub(crate) fn line(room: usize) -> &'static [String] {
    &LINES[room]
}

fn longer_mate(room: usize) -> Vec<String> {
    let mut line: Vec<String> = MATES[room % MATES.len()].split_whitespace().map(str::to_owned).collect();
    assert!(mates(&line), "{line:?}");
    let mut dice = Dice(room as u64);
    let wanted = line.len() + 2 * (room / MATES.len() % EXTRA);
    while line.len() < wanted {
        if let Some(longer) = with_two_more(&line, &mut dice).filter(|longer| mates(longer)) {
            line = longer;
        }
    }
    line
}

/// The game with a random move of each side put in somewhere.
fn with_two_more(line: &[String], dice: &mut Dice) -> Option<Vec<String>> {
    let (before, after) = line.split_at(dice.below(line.len()));
    let mut board = before.iter().try_fold(Board::default(), |board, uci| play(&board, uci))?;
    let mut longer = before.to_vec();
    for _ in 0..2 {
        let moves = legal(&board);
        let chosen = *moves.get(dice.below(moves.len()))?;
        longer.push(display_uci_move(&board, chosen).to_string());
        board.play(chosen);
    }
    longer.extend_from_slice(after);
    Some(longer)
}

/// Whether all moves are legal, no position comes twice, and the last move alone ends the game, by mate.
fn mates(line: &[String]) -> bool {
    let mut board = Board::default();
    let mut seen = HashSet::from([board.hash()]);
    for uci in line {
        let Some(next) = play(&board, uci).filter(|_| board.status() == GameStatus::Ongoing) else {
            return false;
        };
        board = next;
        if !seen.insert(board.hash()) {
            return false;
        }
    }
    board.status() == GameStatus::Won
}

fn play(board: &Board, uci: &str) -> Option<Board> {
    let mut board = board.clone();
    let chosen = parse_uci_move(&board, uci).ok()?;
    board.try_play(chosen).ok()?;
    Some(board)
}

fn legal(board: &Board) -> Vec<Move> {
    let mut moves = Vec::new();
    board.generate_moves(|some| {
        moves.extend(some);
        false
    });
    moves
}

/// Random numbers that are the same in every run (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % end.max(1)
    }
}
