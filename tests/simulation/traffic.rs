//! Requests, exchanges and clients: as `proxy/forward.rs`, `moving.rs` and `running.rs` do it, one step at a time.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use homing::affinity::{Reason, SessionKey};
use homing::backend::health::Observation;
use homing::backend::{Health, State};
use homing::clock::Now;
use homing::headers::Fields;
use homing::pool::{Choice, Commit, Decision, Home, Key, Lease, Refusal, Tie};
use homing::stable_hash::mix;
use homing::transport::exchange::{self, Membership, Phase, Tag};
use homing::watch::Call;
use http::{HeaderName, HeaderValue, header};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::event::Event;
use crate::fleet::Kind;
use crate::world::{Current, World};

/// One client: a key, or a cookie of the proxy's.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    /// In cookie mode: session, where it belongs, and when the cookie was sealed.
    cookie: Option<(u64, Home, Now)>,
}

/// A request in search of its backend.
pub(crate) struct Request {
    pub(crate) worker: usize,
    pub(crate) current: Rc<Current>,
    pub(crate) membership: Membership,
    client: Option<usize>,
    pub(crate) key: Option<Key>,
    pub(crate) skip: Vec<u32>,
    refused: usize,
    rounds: usize,
    acquitted: bool,
    pub(crate) force: bool,
    tunnel: bool,
    temper: Temper,
    pub(crate) stage: Stage,
}

pub(crate) enum Stage {
    Connects(Decision),
    Waits,
    Moves { decision: Decision, arrived: Pin<Box<OwnedNotified>>, until: Now, dropping: bool },
}

/// A request that has its backend, or a tunnel.
pub(crate) struct Exchange {
    pub(crate) worker: usize,
    current: Rc<Current>,
    backend: u32,
    /// [`State::id`] of the backend.
    pub(crate) id: u64,
    state: Arc<State>,
    /// The life of the backend that owned the key.
    pub(crate) owner: u32,
    pub(crate) lease: Option<Lease>,
    /// None once its connection is closed, and the key not yet let go.
    pub(crate) membership: Option<Membership>,
    /// Its key was moved by force while it was open.
    pub(crate) straggles: bool,
    /// What it has been told, and has not heard.
    pub(crate) called: Option<Call>,
    pub(crate) tunnel: bool,
    /// The hash that says when it has to end should its backend leave.
    pub(crate) moment: u64,
    client: Option<usize>,
    key: Option<Key>,
    home: Option<Home>,
    temper: Temper,
}

/// How an exchange takes being told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    /// It ends.
    Prompt,
    /// It ends when it is dropped.
    Slow,
    /// It does not hear.
    Frozen,
}

const ATTEMPTS: usize = 2;
const ROUNDS: usize = 16;
const POLITE: Duration = Duration::from_secs(1);
const DROPPED: Duration = Duration::from_millis(250);

impl Client {
    pub(crate) fn new(number: usize) -> Self {
        Self { name: format!("client-{number}"), cookie: None }
    }
}

impl Exchange {
    pub(crate) fn is_open_at(&self, worker: usize) -> bool {
        self.worker == worker && self.membership.is_some()
    }
}

impl World {
    pub(crate) fn traffic(&mut self, event: &Event) {
        match *event {
            Event::Ask { worker, client, tunnel, temper } => self.ask(worker, client, tunnel, temper),
            Event::Connect { request, fails } => self.connects(request, fails),
            Event::Look { request } => self.look_again(request),
            Event::GiveUp { request } => drop(self.requests.remove(&request)),
            Event::Attend { worker } => self.attend(worker),
            Event::End { exchange, answered } => self.end(exchange, answered),
            Event::Settle { exchange } => self.settle(exchange),
            Event::Respond { exchange, ref issues, by_header, takes_back } => {
                self.respond(exchange, issues, by_header, takes_back);
            }
            Event::Delete { client } => self.delete(client),
            _ => {}
        }
    }

    fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    // === Requests ===

    fn ask(&mut self, worker: usize, client: Option<usize>, tunnel: bool, temper: Temper) {
        let current = self.current(worker);
        let key = client.map(|client| self.key_of(client, &current));
        let membership = self.workers[worker].exchanges.begin();
        let (skip, stage) = (Vec::new(), Stage::Waits);
        let request = Request {
            worker,
            current,
            membership,
            client,
            key,
            skip,
            refused: 0,
            rounds: 0,
            acquitted: false,
            force: false,
            tunnel,
            temper,
            stage,
        };
        let number = self.number();
        self.requests.insert(number, request);
        self.decide(number);
    }

    fn key_of(&mut self, client: usize, current: &Current) -> Key {
        let (pool, now) = (current.pool(), self.now);
        let bytes = self.clients[client].name.as_bytes();
        if self.kind != Kind::Cookie {
            return Key { learned: Some(0), ..pool.hash_key(bytes) };
        }
        let idle = self.model.idle_secs;
        let counts = |it: &(u64, Home, Now)| {
            now.secs().saturating_sub(it.2.secs()) <= idle || pool.goes_on(it.0, Reason::Expired, now)
        };
        let cookie = self.clients[client].cookie.filter(counts);
        let found = SessionKey { bytes: bytes.into(), source: &pool.key_sources()[0] };
        let session = cookie.map_or_else(|| mix(self.steps << 20 | client as u64), |cookie| cookie.0);
        pool.carried_key(session, cookie.map(|cookie| cookie.1), client.is_multiple_of(2).then_some(&found))
    }

    fn decide(&mut self, number: u32) {
        let Some(request) = self.requests.get_mut(&number) else { return };
        request.rounds += 1;
        if request.rounds > ROUNDS {
            self.requests.remove(&number);
            return;
        }
        let request = &self.requests[&number];
        let (seen, current) = (self.see(request.worker, &request.current), request.current.clone());
        let loads = |backend: u32| {
            let state = &current.pool().backends[backend as usize].state;
            state.counters(request.worker).in_flight.get()
        };
        let choice = Choice { skip: &request.skip, load: &loads, now: self.now };
        let decided = current.pool().decide(&seen.view, request.key.as_ref(), &choice);
        self.check_decision(request, &seen, decided);
        self.note(match decided {
            Ok(Decision { tie: Tie::Carried, .. }) => "carried",
            Ok(decision) => decision.reason.as_str(),
            Err(refusal) => refusal.as_str(),
        });
        if seen.view.panics() {
            self.note("panic");
        }
        match decided {
            Ok(decision) => self.stage(number, Stage::Connects(decision)),
            Err(Refusal::Wait { .. }) => self.stage(number, Stage::Waits),
            Err(Refusal::Outdated) => self.catch_up(number),
            Err(_) => drop(self.requests.remove(&number)),
        }
    }

    /// Its key lives on a backend that came after it.
    fn catch_up(&mut self, number: u32) {
        let current = self.current(self.requests[&number].worker);
        let Some(request) = self.requests.get_mut(&number) else { return };
        if !Rc::ptr_eq(&request.current, &current) {
            (request.current, request.skip) = (current, Vec::new());
        }
        request.stage = Stage::Waits;
    }

    fn stage(&mut self, number: u32, stage: Stage) {
        if let Some(request) = self.requests.get_mut(&number) {
            request.stage = stage;
        }
    }

    fn connects(&mut self, number: u32, fails: bool) {
        let Some(Request { stage: Stage::Connects(decision), .. }) = self.requests.get(&number) else {
            return;
        };
        let decision = *decision;
        if fails { self.not_connected(number, &decision) } else { self.commit(number, &decision) }
    }

    fn not_connected(&mut self, number: u32, decision: &Decision) {
        let Some(request) = self.requests.get_mut(&number) else { return };
        let backend = request.current.pool().backends[decision.backend as usize].clone();
        let health = backend.state.health();
        if decision.tie.is_fixed() {
            let again = health == Health::Up && !std::mem::replace(&mut request.acquitted, true);
            if !again && health != Health::Down {
                self.requests.remove(&number);
            }
        } else {
            request.skip.push(decision.backend);
            request.refused += 1;
            if request.refused >= ATTEMPTS {
                self.requests.remove(&number);
            }
        }
        let active = self.config.pools[0].health.is_some();
        if self.is_known(&backend.state) && (!active || health == Health::Up) {
            self.observe(&backend, Observation::Refused);
        }
        self.decide(number);
    }

    fn is_known(&self, state: &State) -> bool {
        self.pool().backends.iter().any(|backend| backend.state.id == state.id)
    }

    fn commit(&mut self, number: u32, decision: &Decision) {
        let Some(request) = self.requests.get(&number) else { return };
        let (seen, current) = (self.see(request.worker, &request.current), request.current.clone());
        let before = request.key.and_then(|key| self.model.session(key.fingerprint.0, self.now));
        let (key, force) = (request.key, request.force);
        let committed = current.pool().commit(&seen.view, key.as_ref(), decision, self.now, force);
        let owner = seen.view.owner(decision.backend);
        self.check_commit(number, decision, owner, before, &committed);
        self.note(match committed {
            Commit::Go(_) if force => "forced",
            Commit::Go(_) => "go",
            Commit::Again => "again",
            Commit::Moving(_) => "moving",
            Commit::Full => "table full",
            Commit::BackendFull => "backend full",
        });
        match committed {
            Commit::Go(lease) => self.begin(number, decision, owner, lease),
            Commit::Again => self.decide(number),
            Commit::Full => drop(self.requests.remove(&number)),
            Commit::BackendFull => {
                if let Some(request) = self.requests.get_mut(&number) {
                    request.skip.push(decision.backend);
                }
                self.decide(number);
            }
            Commit::Moving(arrival) => self.wait_for_move(number, decision, arrival),
        }
    }

    fn begin(&mut self, number: u32, decision: &Decision, owner: u32, lease: Option<Lease>) {
        let Some(request) = self.requests.remove(&number) else { return };
        let Request { worker, current, membership, client, key, tunnel, temper, .. } = request;
        if let Some(lease) = lease {
            membership.set_key(Tag { key: lease.key.0, epoch: lease.epoch });
        }
        let state = current.pool().backends[decision.backend as usize].state.clone();
        let moment = lease.map(|lease| lease.placement).or(key.map(|key| key.placement));
        let moment = moment.unwrap_or(self.steps);
        membership.set_home(exchange::Home { backend: state.id, moment });
        membership.wait_for(if tunnel { Phase::Tunnel } else { Phase::Head }, Now::NEVER);
        state.counters(worker).requests.up();
        state.counters(worker).in_flight.up();
        let home = self.see(worker, &current).view.home(decision.backend);
        let number = self.number();
        let exchange = Exchange {
            worker,
            current,
            backend: decision.backend,
            id: state.id,
            state,
            owner,
            lease,
            membership: Some(membership),
            straggles: false,
            called: None,
            tunnel,
            moment,
            client,
            key,
            home,
            temper,
        };
        self.exchanges.insert(number, exchange);
    }

    // === Moves ===

    fn wait_for_move(&mut self, number: u32, decision: &Decision, arrival: Arc<Notify>) {
        let Some(key) = self.requests[&number].key else { return };
        let arrived = Box::pin(arrival.notified_owned());
        let binding = self.pool().table().and_then(|table| table.peek(key.fingerprint, self.now));
        if binding.is_none_or(|binding| binding.live == 0) {
            return self.decide(number);
        }
        let mut until = self.now.after(POLITE);
        if let Tie::Lost { epoch } = decision.tie {
            self.order(key.fingerprint.0, epoch, Call::Moved);
        } else {
            until = until.after(DROPPED);
        }
        self.stage(number, Stage::Moves { decision: *decision, arrived, until, dropping: false });
    }

    fn order(&mut self, key: u64, epoch: u64, call: Call) {
        self.workers.iter_mut().for_each(|worker| worker.orders.push_back((key, epoch, call)));
    }

    fn look_again(&mut self, number: u32) {
        let now = self.now;
        let Some(request) = self.requests.get_mut(&number) else { return };
        let key = request.key;
        let Stage::Moves { decision, arrived, until, dropping } = &mut request.stage else {
            return self.decide(number);
        };
        if arrived.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            request.force = false;
            self.note("arrived");
            return self.decide(number);
        }
        if now < *until {
            return;
        }
        match (decision.tie, *dropping) {
            (Tie::Lost { epoch }, false) => {
                (*dropping, *until) = (true, now.after(DROPPED));
                self.order(key.map_or(0, |key| key.fingerprint.0), epoch, Call::Drop);
            }
            (Tie::Lost { .. }, true) => {
                request.force = true;
                self.decide(number);
            }
            _ => drop(self.requests.remove(&number)),
        }
    }

    // === Exchanges ===

    /// A worker carries out its orders, and its exchanges hear what they are told: those and no others.
    fn attend(&mut self, worker: usize) {
        while let Some((key, epoch, call)) = self.workers[worker].orders.pop_front() {
            self.workers[worker].exchanges.call_key(key, epoch, call);
            let means = |it: &Exchange| it.lease.is_some_and(|it| it.key.0 == key && it.epoch <= epoch);
            for exchange in self.exchanges.values_mut().filter(|it| it.is_open_at(worker) && means(it)) {
                exchange.called = Some(call);
            }
        }
        let cx = Context::from_waker(Waker::noop());
        let mut called = Vec::new();
        for (number, exchange) in self.exchanges.iter_mut().filter(|(_, it)| it.worker == worker) {
            let Some(membership) = exchange.membership.as_ref() else { continue };
            if exchange.temper == Temper::Frozen {
                continue;
            }
            let heard = membership.hear(&cx);
            assert_eq!(heard, exchange.called.take(), "what exchange {number} hears");
            if heard.is_some_and(|call| call == Call::Drop || exchange.temper == Temper::Prompt) {
                called.push(*number);
            }
        }
        for number in called {
            self.close(number);
        }
    }

    /// The connection of an exchange is closed; its key is not yet let go.
    fn close(&mut self, number: u32) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        if exchange.membership.take().is_some() {
            exchange.state.counters(exchange.worker).in_flight.down();
        }
        if exchange.lease.is_none() {
            self.exchanges.remove(&number);
        }
    }

    fn settle(&mut self, number: u32) {
        if self.exchanges.get(&number).is_none_or(|exchange| exchange.membership.is_some()) {
            return;
        }
        let Some(Exchange { current, lease: Some(lease), .. }) = self.exchanges.remove(&number) else {
            return;
        };
        current.pool().release(lease, self.now);
        self.model.release(lease.key.0, lease.epoch, self.now);
        self.check_key(lease.key.0);
    }

    pub(crate) fn end(&mut self, number: u32, answered: bool) {
        let Some(exchange) = self.exchanges.get(&number) else { return };
        if let (true, Some(client), Some(key), Some(home)) =
            (answered && self.kind == Kind::Cookie, exchange.client, exchange.key, exchange.home)
        {
            self.clients[client].cookie = Some((key.fingerprint.0, home, self.now));
        }
        self.close(number);
        self.settle(number);
    }

    // === Lessons ===

    fn respond(&mut self, number: u32, issues: &[usize], by_header: bool, takes_back: bool) {
        let Some(exchange) = self.exchanges.get(&number) else { return };
        let mut response = Fields::new();
        for client in issues {
            let name = &self.clients[*client].name;
            if by_header {
                response.append(HeaderName::from_static("x-room"), HeaderValue::from_str(name).unwrap());
            } else {
                let line = format!("sid={name}; Path=/; HttpOnly");
                response.append(header::SET_COOKIE, HeaderValue::from_str(&line).unwrap());
            }
        }
        if takes_back {
            response.append(header::SET_COOKIE, HeaderValue::from_static("sid=; Max-Age=0"));
        }
        let (seen, current) = (self.see(exchange.worker, &exchange.current), exchange.current.clone());
        let (backend, key) = (exchange.backend, exchange.key);
        let pool = current.pool();
        let lessons = pool.learn(&seen.view, backend, key.as_ref(), &response, self.now);
        let keys: Vec<Key> =
            issues.iter().map(|client| pool.hash_key(self.clients[*client].name.as_bytes())).collect();
        // Before anything is issued.
        if let Some(key) = key.filter(|_| takes_back) {
            self.model.end(key.fingerprint.0, self.now);
        }
        self.check_lessons(&current, &seen, backend, (key, &keys), lessons);
    }

    /// As an operator ends a session.
    fn delete(&mut self, client: usize) {
        let current = self.current(0);
        if self.kind == Kind::Hash {
            return;
        }
        let key = self.key_of(client, &current);
        let Some(table) = current.pool().table() else { return };
        let Some(binding) = table.peek(key.fingerprint, self.now) else { return };
        let ended = table.end(key.fingerprint, self.now);
        assert_eq!(ended, self.model.end(key.fingerprint.0, self.now));
        self.order(key.fingerprint.0, binding.epoch, Call::Moved);
        self.note("deleted");
    }
}
