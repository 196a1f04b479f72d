//! Settings that name certificates, keys and authorities, and `[pool.tls]`.

use rustls::pki_types::ServerName;

use crate::config::file::Section;
use crate::config::report::Complaint;
use crate::config::tls::Wrong;
use crate::config::value::{Outcome, flag, parsed, text};
use crate::config::{ClientTls, Identity, Roots, Verify};

/// A `cert` and its `key`.
pub(super) fn identity(section: &Section<'_>) -> Option<Identity> {
    let (cert, key) = (section.need("cert", text), section.need("key", text));
    let (cert, key) = (section.near(&cert?), section.near(&key?));
    let read = Identity::read(&cert, &key).map_err(|wrong| match wrong {
        Wrong::Cert(complaint) => section.complain("cert", complaint),
        Wrong::Key(complaint) => section.complain("key", complaint),
    });
    read.ok()
}

/// The authorities in the file that `text` names.
pub(super) fn roots(section: &Section<'_>, text: &str) -> Outcome<Roots> {
    Roots::read(&section.near(text))
}

/// `[pool.tls]`; an empty table is TLS with the authorities of the system.
pub(super) fn client(section: &Section<'_>) -> Option<ClientTls> {
    if !section.is_present() {
        return None;
    }
    let server_name = section.read("server_name", parsed(server_name));
    let has_identity = section.has("cert") || section.has("key");
    let identity = has_identity.then(|| identity(section)).flatten();
    let verify = if section.or("verify", true, flag) { Verify::Peer } else { Verify::Nothing };
    let roots = match section.has("ca") {
        true => section.read("ca", parsed(|text| roots(section, text)))?,
        false if verify == Verify::Nothing => Roots::none(),
        false => Roots::of_system().map_err(|complaint| section.complain("ca", complaint)).ok()?,
    };
    Some(ClientTls { roots, server_name, identity, verify })
}

fn server_name(text: &str) -> Outcome<ServerName<'static>> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Complaint::invalid(format!("{text:?} is neither a DNS name nor an address"))
            .help("write it without a port")
    })
}
