//! One game of chess: what may be played, what was played, how it ended.
//! Who plays it is not known here.

use std::collections::HashMap;

use cozy_chess::util::{display_san_move, display_uci_move, parse_uci_move};
use cozy_chess::{Board, Color, GameStatus, Move, Piece};
use serde::Serialize;

/// A game longer than this is a draw, so that its state stays small.
const MAX_PLIES: usize = 1_000;

/// A game from the starting position.
pub(super) struct Game {
    board: Board,
    played: Vec<Ply>,
    /// How often each position was on the board.
    seen: HashMap<u64, u8>,
    resigned: Option<Side>,
}

/// One move that was made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ply {
    uci: String,
    san: String,
}

/// White or black.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    White,
    Black,
}

/// How a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    /// `None`: a draw.
    pub(super) winner: Option<Side>,
    pub(super) reason: Reason,
}

/// Why a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Checkmate,
    Resignation,
    Stalemate,
    FiftyMoves,
    Repetition,
    Material,
    MoveLimit,
}

/// A move was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Illegal {
    #[error("the game is over")]
    Over,
    #[error("this move is not allowed here")]
    Rules,
}

impl Game {
    /// Plays a move in UCI notation (`e2e4`, `e7e8q`, castling as `e1g1`).
    pub(super) fn play(&mut self, uci: &str) -> Result<(), Illegal> {
        if self.outcome().is_some() {
            return Err(Illegal::Over);
        }
        let chosen = parse_uci_move(&self.board, uci).map_err(|_| Illegal::Rules)?;
        if !self.board.is_legal(chosen) {
            return Err(Illegal::Rules);
        }
        let san = display_san_move(&self.board, chosen).to_string();
        let uci = display_uci_move(&self.board, chosen).to_string();
        self.board.play(chosen);
        self.played.push(Ply { uci, san });
        *self.seen.entry(self.board.hash()).or_default() += 1;
        Ok(())
    }

    /// Ends the game in the other side's favour.
    pub(super) fn resign(&mut self, side: Side) -> Result<(), Illegal> {
        if self.outcome().is_some() {
            return Err(Illegal::Over);
        }
        self.resigned = Some(side);
        Ok(())
    }

    pub(super) fn fen(&self) -> String {
        self.board.to_string()
    }

    pub(super) fn played(&self) -> &[Ply] {
        &self.played
    }

    pub(super) fn turn(&self) -> Side {
        Side::from(self.board.side_to_move())
    }

    pub(super) fn check(&self) -> bool {
        !self.board.checkers().is_empty()
    }

    /// Every move that may be played now, in UCI notation.
    pub(super) fn legal(&self) -> Vec<String> {
        let mut moves = Vec::new();
        if self.outcome().is_none() {
            self.board.generate_moves(|some| {
                moves.extend(
                    some.into_iter().map(|chosen: Move| display_uci_move(&self.board, chosen).to_string()),
                );
                false
            });
        }
        moves
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        if let Some(side) = self.resigned {
            return Some(Outcome { winner: Some(side.other()), reason: Reason::Resignation });
        }
        let draw = |reason| Some(Outcome { winner: None, reason });
        match self.board.status() {
            GameStatus::Won => Some(Outcome { winner: Some(self.turn().other()), reason: Reason::Checkmate }),
            GameStatus::Drawn if self.board.generate_moves(|_| true) => draw(Reason::FiftyMoves),
            GameStatus::Drawn => draw(Reason::Stalemate),
            GameStatus::Ongoing if self.seen.get(&self.board.hash()).is_some_and(|&times| times >= 3) => {
                draw(Reason::Repetition)
            }
            GameStatus::Ongoing if self.cannot_mate() => draw(Reason::Material),
            GameStatus::Ongoing if self.played.len() >= MAX_PLIES => draw(Reason::MoveLimit),
            GameStatus::Ongoing => None,
        }
    }

    /// Bare kings, or one knight or bishop between them.
    fn cannot_mate(&self) -> bool {
        let heavy =
            self.board.pieces(Piece::Pawn) | self.board.pieces(Piece::Rook) | self.board.pieces(Piece::Queen);
        heavy.is_empty() && self.board.occupied().len() <= 3
    }
}

impl Default for Game {
    fn default() -> Self {
        let board = Board::default();
        let seen = HashMap::from([(board.hash(), 1)]);
        Self { board, played: Vec::new(), seen, resigned: None }
    }
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::White => Self::Black,
            Self::Black => Self::White,
        }
    }
}

impl From<Color> for Side {
    fn from(color: Color) -> Self {
        match color {
            Color::White => Self::White,
            Color::Black => Self::Black,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(moves: &str) -> Game {
        let mut game = Game::default();
        for uci in moves.split_whitespace() {
            game.play(uci).unwrap();
        }
        game
    }

    #[test]
    fn a_mate_ends_the_game() {
        let mut game = after("f2f3 e7e5 g2g4 d8h4");
        assert_eq!(game.outcome(), Some(Outcome { winner: Some(Side::Black), reason: Reason::Checkmate }));
        assert_eq!(game.played()[3].san, "Qh4#");
        assert!(game.legal().is_empty());
        assert!(matches!(game.play("a2a3"), Err(Illegal::Over)));
    }

    #[test]
    fn castling_is_said_as_the_king_moves() {
        let game = after("e2e4 e7e5 g1f3 b8c6 f1c4 f8c5 e1g1");
        assert_eq!((game.played()[6].uci.as_str(), game.played()[6].san.as_str()), ("e1g1", "O-O"));
    }

    #[test]
    fn promotion_and_nonsense() {
        let mut game = after("a2a4 b7b5 a4b5 a7a6 b5a6 c8b7 a6b7 h7h6");
        assert!(game.legal().contains(&"b7a8n".to_owned()));
        assert!(game.play("b7a8").is_err());
        assert!(game.play("x").is_err());
        assert!(game.play("b7a8q").is_ok());
        assert_eq!(game.played()[8].san, "bxa8=Q");
    }

    #[test]
    fn the_third_repetition_is_a_draw() {
        let game = after("g1f3 g8f6 f3g1 f6g8 g1f3 g8f6 f3g1 f6g8");
        assert_eq!(game.outcome().map(|outcome| outcome.reason), Some(Reason::Repetition));
    }

    #[test]
    fn resigning_gives_the_game_away() {
        let mut game = after("e2e4");
        game.resign(Side::White).unwrap();
        assert_eq!(game.outcome().and_then(|outcome| outcome.winner), Some(Side::Black));
    }
}
