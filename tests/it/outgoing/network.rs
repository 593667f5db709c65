//! A network of its own, with a metadata service, private hosts, public ones and a DNS server whose names change: the real
//! resolver, real packets, and nothing else to reach. Needs `unshare` and `ip`, and root or user namespaces.

use std::{net::UdpSocket, process::Command};

use muster::actions::{Bounds, Outside};

use super::{KINDS, Ledger, Names, aimed, ask};

/// Addresses the network has besides loopback: metadata services, private networks, and one that is public.
const ADDRESSES: &str = "169.254.169.254/32 100.100.100.200/32 10.0.0.5/32 192.168.7.7/32 93.184.216.34/32";
const PUBLIC: &str = "93.184.216.34";
const ROUNDS: usize = 4;

/// Brings the network up, points the resolver at it, then becomes the test.
const SCRIPT: &str = r#"
set -e
ip link set lo up
for address in $ADDRESSES; do ip addr add "$address" dev lo; done
printf 'nameserver 127.0.0.1\noptions timeout:2 attempts:1\n' > "$FOLDER/resolv.conf"
printf 'hosts: files dns\n' > "$FOLDER/nsswitch.conf"
mount --bind "$FOLDER/resolv.conf" /etc/resolv.conf
mount --bind "$FOLDER/nsswitch.conf" /etc/nsswitch.conf
exec "$@"
"#;

#[tokio::test]
async fn in_a_network_with_a_metadata_service_nobody_comes_to_it() {
    let folder = std::env::temp_dir().join(format!("muster-network-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let mut may = Command::new("unshare");
    may.args(["--net", "--mount", "--map-root-user", "true"]);
    if !may.status().is_ok_and(|status| status.success()) {
        println!("not run: this machine lets nobody make a network (unshare --net --mount --map-root-user)");
        return;
    }
    let mut child = Command::new("unshare");
    child
        .args([
            "--net",
            "--mount",
            "--map-root-user",
            "/bin/sh",
            "-c",
            SCRIPT,
            "network",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["outgoing::network::inside", "--exact", "--ignored", "--nocapture"])
        .env("ADDRESSES", ADDRESSES)
        .env("FOLDER", &folder);
    let ended = tokio::task::spawn_blocking(move || child.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    println!("{said}");
    let _ = std::fs::remove_dir_all(&folder);
    assert!(
        ended.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(said.contains("0 where nobody may go"), "it ran");
}

#[tokio::test]
#[ignore = "started by in_a_network_with_a_metadata_service_nobody_comes_to_it, in that network"]
async fn inside() {
    if std::env::var("ADDRESSES").is_err() {
        return;
    }
    let names = Names::new(&[
        ("good.test", &[PUBLIC]),
        (
            "rebind.test",
            &[PUBLIC, "169.254.169.254", PUBLIC, "127.0.0.1", PUBLIC, "10.0.0.5"],
        ),
        ("late.test", &["169.254.169.254", PUBLIC]),
        ("both.test", &["93.184.216.34 169.254.169.254"]),
        ("private.test", &["10.0.0.5"]),
        ("near.test", &["192.168.7.7"]),
        ("ali.test", &["100.100.100.200"]),
        ("own.test", &["127.0.0.1"]),
    ]);
    names.serve(UdpSocket::bind("127.0.0.1:53").unwrap());
    let ledger = Ledger::at(80).await;
    let outside = Outside::new(Bounds::default());
    let mut requests = 0;
    for _ in 0..ROUNDS {
        for host in [
            "good.test",
            "rebind.test",
            "late.test",
            "both.test",
            "private.test",
            "near.test",
            "ali.test",
            "own.test",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "[::ffff:169.254.169.254]",
        ] {
            for kind in KINDS {
                let Some((target, with)) = aimed(kind, host, 80, &[]) else {
                    continue;
                };
                // Refused or answered: the ledger knows where it went.
                let _ = ask(&outside, &target, with).await;
                requests += 1;
            }
        }
    }
    let reached = ledger.reached();
    let astray: Vec<&String> = reached.iter().filter(|at| *at != PUBLIC).collect();
    println!(
        "{requests} requests, {} DNS questions, {} connections to {PUBLIC}, {} where nobody may go",
        names.asked(),
        reached.len() - astray.len(),
        astray.len()
    );
    assert_eq!(astray, Vec::<&String>::new());
    assert!(
        reached.len() >= KINDS.len() * ROUNDS,
        "the public one was reached, so the names work"
    );
}
