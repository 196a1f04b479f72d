//! Where the admin listener of a file is, for those who want to call it. It is found also where the rest of the file is
//! wrong: whoever asks why a reload was refused asks by that file. What a file means is for [`super::check`] to say.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// `[admin]` as far as a caller needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPlace {
    /// Where to call. For a listener on all addresses, one of this machine.
    pub address: SocketAddr,
    /// The file with the token that is to be shown.
    pub token_file: Option<PathBuf>,
}

impl AdminPlace {
    /// The place that a file names; `None` if it names none, or one without a port.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Option<Self>> {
        let octets = std::fs::read(path)?;
        let text = String::from_utf8_lossy(&octets);
        let document = DeTable::parse_recoverable(&text).0.into_inner();
        let admin = document.get("admin").and_then(|admin| admin.get_ref().as_table());
        let word = |key: &str| admin?.get(key).and_then(|value| DeValue::as_str(value.get_ref()));
        let address = word("address").and_then(|text| text.parse::<SocketAddr>().ok());
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        let token_file = word("token_file").map(|file| directory.join(file));
        let address = address.filter(|address| address.port() != 0).map(reachable);
        Ok(address.map(|address| Self { address, token_file }))
    }
}

/// An address to which one can connect, where the listener is on all of them.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let ip = match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        address.set_ip(ip);
    }
    address
}
