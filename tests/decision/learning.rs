//! Keys that backends issue.

use homing::backend::Health;
use homing::pool::{Lessons, Reason};

use crate::proxy::{Proxy, TABLE, THREE};
use crate::{bound, others};

#[test]
fn an_issued_key_is_bound_to_its_issuer() {
    let proxy = Proxy::new(TABLE, THREE);
    for (name, _) in THREE {
        let id = format!("session-of-{name}");
        assert_eq!(proxy.respond(name, None, &[&id]), Lessons { learned: 1, violations: 0 });
        assert_eq!(proxy.visit(&id), bound(name));
    }
}

#[test]
fn old_and_new_id_map_to_one_backend_after_rotation() {
    let proxy = Proxy::new(TABLE, THREE);
    let (home, _) = proxy.visit("old");
    assert_eq!(proxy.respond(&home, Some("old"), &["new"]).learned, 1);
    assert_eq!(proxy.visit("new"), bound(&home));
    assert_eq!(proxy.visit("old"), bound(&home));
}

#[test]
fn keys_learned_together_are_placed_together_when_their_backend_is_lost() {
    let proxy = Proxy::new(TABLE, THREE);
    for i in 0..30 {
        let ids: Vec<String> = (0..4).map(|n| format!("{i}-{n}")).collect();
        assert_eq!(proxy.respond("a", None, &[&ids[0], &ids[1]]).learned, 2);
        assert_eq!(proxy.respond("a", Some(&ids[0]), &[&ids[2], &ids[3]]).learned, 2);
    }
    proxy.set("a", Health::Down);
    for i in 0..30 {
        let (home, reason) = proxy.visit(&format!("{i}-0"));
        assert_eq!(reason, Reason::Rebound);
        (1..4).for_each(|n| assert_eq!(proxy.visit(&format!("{i}-{n}")).0, home, "{i}-{n}"));
    }
}

#[test]
fn ids_rotated_many_times_stay_together_when_their_backend_is_lost() {
    let proxy = Proxy::new(TABLE, THREE);
    for user in 0..30 {
        let (home, _) = proxy.visit(&format!("{user}-0"));
        for n in 0..5 {
            let (old, new) = (format!("{user}-{n}"), format!("{user}-{}", n + 1));
            assert_eq!(proxy.respond(&home, Some(&old), &[&new]).learned, 1);
        }
        proxy.set(&home, Health::Down);
        let (next, _) = proxy.visit(&format!("{user}-0"));
        (1..=5).for_each(|n| assert_eq!(proxy.visit(&format!("{user}-{n}")).0, next, "{user}-{n}"));
        proxy.set(&home, Health::Up);
    }
}

#[test]
fn a_key_learned_anew_after_a_loss_is_placed_with_those_it_came_with() {
    let proxy = Proxy::new(TABLE, THREE);
    for user in 0..30 {
        let (room, id) = (format!("room-{user}"), format!("id-{user}"));
        proxy.respond("a", None, &[&id]);
        proxy.set("a", Health::Down);
        let (home, _) = proxy.visit(&room);
        assert_eq!(proxy.respond(&home, Some(&room), &[&id]).learned, 1, "its owner is gone");
        proxy.set("a", Health::Up);
        proxy.set(&home, Health::Down);
        assert_eq!(proxy.visit(&room).0, proxy.visit(&id).0, "user {user}");
        proxy.set(&home, Health::Up);
    }
}

#[test]
fn learning_never_moves_a_bound_key_and_is_counted() {
    let proxy = Proxy::new(TABLE, THREE);
    let (home, _) = proxy.visit("room-1");
    let [second, third] = others(&home);
    assert_eq!(proxy.respond(second, None, &["room-1"]), Lessons { learned: 0, violations: 1 });
    assert_eq!(proxy.respond(third, Some("x"), &["room-1", "y"]), Lessons { learned: 1, violations: 1 });
    assert_eq!(proxy.respond(&home, None, &["room-1"]), Lessons::default());
    assert_eq!(proxy.visit("room-1"), bound(&home));
    assert_eq!(proxy.pool().table().unwrap().violations(), 2);
}

#[test]
fn a_key_whose_owner_is_gone_is_learned_once_nothing_of_it_is_live() {
    let proxy = Proxy::new(TABLE, THREE);
    let tunnel = proxy.begin("room-1");
    let [second, _] = others(&tunnel.backend);
    proxy.set(&tunnel.backend, Health::Down);
    assert_eq!(proxy.respond(second, None, &["room-1"]).violations, 1, "it is still live there");
    proxy.end(&tunnel);
    assert_eq!(proxy.respond(second, None, &["room-1"]).learned, 1);
    assert_eq!(proxy.visit("room-1"), bound(second));
}
