//! `[[listener]]`: where clients connect, and how they are spoken to.

use crate::config::file::{Section, Unique};
use crate::config::report::Complaint;
use crate::config::value::{flag, number, parsed};
use crate::config::{Listener, ServerTls, address, contract};

use super::tls;

/// Every listener of the file.
pub(super) fn all(top: &Section<'_>) -> Vec<Listener> {
    let sections = top.tables("listener", &contract::LISTENER);
    if top.lacks("listener") {
        let help = "add [[listener]] with an address, like \"0.0.0.0:8080\"";
        top.complain("listener", Complaint::missing("there is no listener").help(help));
    }
    let mut taken = Unique::new();
    let trusts = !top.lacks("trusted_proxies");
    sections.iter().filter_map(|section| listener(section, &mut taken, trusts)).collect()
}

fn listener(
    section: &Section<'_>,
    taken: &mut Unique<std::net::SocketAddr>,
    trusts: bool,
) -> Option<Listener> {
    let tls = server_tls(section);
    let proxy_protocol = section.or("proxy_protocol", false, flag);
    if proxy_protocol && !trusts {
        let complaint = Complaint::invalid("nobody may send the PROXY header: `trusted_proxies` is empty");
        section.complain("proxy_protocol", complaint.help("list the load balancer's network there"));
    }
    let http2 = section.or("http2", true, flag);
    let max_connections = section.or("max_connections", 0, number(0..=u64::MAX));
    let address = section.need("address", parsed(address::listener))?;
    if address.port() != 0 {
        taken.claim(address, section, "address", "address as the listener");
    }
    Some(Listener { address, tls, proxy_protocol, http2, max_connections })
}

fn server_tls(section: &Section<'_>) -> Option<ServerTls> {
    let client_ca = section.read("client_ca", parsed(|text| tls::roots(section, text)));
    if section.lacks("tls") {
        for key in ["tls", "client_ca"].into_iter().filter(|key| section.has(key)) {
            let complaint = Complaint::invalid("without a certificate there is no TLS");
            section
                .complain(key, complaint.help("add `tls = [{ cert = \"site.pem\", key = \"site.key\" }]`"));
        }
        return None;
    }
    let all = section.tables("tls", &contract::LISTENER_TLS);
    let identities: Vec<_> = all.iter().filter_map(tls::identity).collect();
    (!identities.is_empty()).then_some(ServerTls { identities, client_ca })
}
