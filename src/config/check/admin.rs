//! `[admin]`: where operators call, and the token from a file that they must show.

use std::path::Path;

use crate::config::file::Section;
use crate::config::report::Complaint;
use crate::config::value::{Outcome, flag, octets_of, parsed};
use crate::config::{Admin, Token, address};

const LONGEST_TOKEN_FILE: u64 = 4 << 10;
const HOW_TO_MAKE_ONE: &str = "make one with `openssl rand -hex 32`";

pub(super) fn read(section: &Section<'_>) -> Option<Admin> {
    if !section.is_present() {
        return None;
    }
    let token = section.read("token_file", parsed(|text| token(&section.near(text))));
    let reload = section.or("reload", true, flag);
    let address = section.need("address", parsed(address::listener))?;
    if !address.ip().is_loopback() && !section.has("token_file") {
        let complaint = Complaint::invalid("whoever reaches this address could change the proxy");
        section.complain("address", complaint.help("add `token_file`, or use a loopback address"));
    }
    Some(Admin { address, token, reload })
}

fn token(path: &Path) -> Outcome<Token> {
    let octets = octets_of(path, LONGEST_TOKEN_FILE)?;
    if octets.len() as u64 > LONGEST_TOKEN_FILE {
        return Err(Complaint::invalid(format!("a token's file has at most {LONGEST_TOKEN_FILE} octets")));
    }
    Token::new(&octets).map(|token| token.in_file(path)).ok_or_else(|| {
        let least = Token::LEAST;
        let what = format!("a token is one line of at least {least} visible ASCII characters without spaces");
        Complaint::invalid(what).help(HOW_TO_MAKE_ONE)
    })
}
