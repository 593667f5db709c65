//! Packets that are lost or late, by the kernel's own tools, inside of a named network namespace and nowhere else.

use std::{path::Path, process::Stdio};

use nix::sys::statfs::{NSFS_MAGIC, statfs};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::{TOOL_MAX, command, ended, latch::Latch, run, tool};
use crate::domain::{fault::Packets, span::Span};

/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/run/netns";
/// Our table of nft: what is in it is ours, and goes with it.
const TABLE: [&str; 2] = ["inet", "muster_drill"];
/// The tool that makes them lost or late.
const ACT: &str = "act";
/// Our handle of tc.
const HANDLE: &str = "6d75:";

pub(super) async fn check(namespace: &str, device: &str, packets: Packets) -> Result<(), String> {
    if !is_there(namespace) {
        return Err(format!("there is no network namespace {namespace}"));
    }
    let mut link = command(tool("ip")?);
    link.args(["-n", namespace, "link", "show", "dev", device]);
    run(link, TOOL_MAX).await?;
    // They are so by another fault, which would be taken back with this one.
    if stands(namespace, device, packets).await {
        return Err(format!("packets in {namespace} are lost or late already"));
    }
    match packets {
        Packets::Lost(percent) => {
            let mut check = inside(namespace, "nft")?;
            check.args(["--check", "--file", "-"]);
            feed(check, &rules(device, percent)).await
        }
        Packets::Late(_) => {
            let mut check = command(tool("unshare")?);
            check.arg("--net").arg(tool("tc")?);
            check
                .args(["qdisc", "add", "dev", "lo", "root"])
                .args(netem(Span::from_millis(1)));
            let why = |error| format!("this kernel cannot make packets late (it has no netem): {error}");
            run(check, TOOL_MAX).await.map_err(why)
        }
    }
}

pub(super) async fn cause(
    (namespace, device): (&str, &str),
    packets: Packets,
    folder: &Path,
) -> Result<(), String> {
    let latch = Latch::new(folder, ACT);
    match packets {
        Packets::Lost(percent) => {
            let mut add = latch.command(tool("ip")?);
            add.args(["netns", "exec", namespace]).arg(tool("nft")?);
            add.args(["--file", "-"]);
            let rules = rules(device, percent);
            latch.run(add, ("nft", &rules), TOOL_MAX).await
        }
        Packets::Late(by) => {
            let mut add = latch.command(tool("tc")?);
            add.args(["-n", namespace, "qdisc", "add", "dev", device]);
            add.args(["root", "handle", HANDLE]).args(netem(by));
            latch.run(add, ("tc", ""), TOOL_MAX).await
        }
    }
}

/// A namespace or a device that has gone took all that was in it along, which is said.
pub(super) async fn undo(
    (namespace, device): (&str, &str),
    packets: Packets,
    folder: &Path,
) -> Result<Option<String>, String> {
    // A tool that was let go on may still be at it, though who told it to is dead.
    Latch::new(folder, ACT).ended(TOOL_MAX).await?;
    if !is_there(namespace) {
        return Ok(Some(format!("the network namespace {namespace} has gone")));
    }
    let is_device_gone = !devices(namespace).await?.iter().any(|name| name == device);
    let gone =
        is_device_gone.then(|| format!("the device {device} of the network namespace {namespace} has gone"));
    let delete = match packets {
        Packets::Late(_) if is_device_gone => return Ok(gone),
        _ if !stands(namespace, device, packets).await => return Ok(gone),
        Packets::Lost(_) => {
            let mut delete = inside(namespace, "nft")?;
            delete.args(["delete", "table"]).args(TABLE);
            delete
        }
        Packets::Late(_) => {
            let mut delete = queue(namespace, "del", device)?;
            delete.args(["root", "handle", HANDLE]);
            delete
        }
    };
    run(delete, TOOL_MAX).await?;
    match stands(namespace, device, packets).await {
        true => Err(format!("packets in {namespace} are still lost or late")),
        false => Ok(gone),
    }
}

/// The devices of a namespace.
async fn devices(namespace: &str) -> Result<Vec<String>, String> {
    let mut list = command(tool("ip")?);
    list.args(["-n", namespace, "-oneline", "link", "show"]);
    let listed = timeout(TOOL_MAX, list.kill_on_drop(true).output()).await;
    match listed {
        Ok(Ok(output)) if output.status.success() => {
            Ok(names(&String::from_utf8_lossy(&output.stdout)).collect())
        }
        Ok(Ok(output)) => Err(ended("ip", output.status, &output.stderr)),
        Ok(Err(error)) => Err(format!("ip cannot be started: {error}")),
        Err(_) => Err(format!("ip did not end within {} s", TOOL_MAX.as_secs())),
    }
}

/// The names in a list of `ip -oneline link`, where a device stands as `2: eth0@if7: <…>`.
fn names(list: &str) -> impl Iterator<Item = String> {
    list.lines().filter_map(|line| {
        let name = line.split(' ').nth(1)?;
        let name = name.strip_suffix(':')?;
        Some(name.split('@').next()?.to_owned())
    })
}

/// Whether our rule is there. When nobody can tell, it may be.
async fn stands(namespace: &str, device: &str, packets: Packets) -> bool {
    let list = match packets {
        Packets::Lost(_) => inside(namespace, "nft").map(|mut list| {
            list.args(["list", "tables"]);
            list
        }),
        Packets::Late(_) => queue(namespace, "show", device),
    };
    let sign = match packets {
        Packets::Lost(_) => TABLE.join(" "),
        Packets::Late(_) => format!(" {HANDLE} "),
    };
    let Ok(mut list) = list else { return true };
    match timeout(TOOL_MAX, list.kill_on_drop(true).output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).contains(&sign),
        _ => true,
    }
}

/// Whether a namespace has that name. What only has its name, such as an empty file that is left of one, is none.
fn is_there(namespace: &str) -> bool {
    let found = statfs(&Path::new(NAMESPACES).join(namespace));
    found.is_ok_and(|found| found.filesystem_type() == NSFS_MAGIC)
}

fn inside(namespace: &str, name: &str) -> Result<Command, String> {
    let mut inside = command(tool("ip")?);
    inside.args(["netns", "exec", namespace]).arg(tool(name)?);
    Ok(inside)
}

fn queue(namespace: &str, verb: &str, device: &str) -> Result<Command, String> {
    let mut queue = command(tool("tc")?);
    queue.args(["-n", namespace, "qdisc", verb, "dev", device]);
    Ok(queue)
}

fn netem(by: Span) -> [String; 3] {
    [
        "netem".to_owned(),
        "delay".to_owned(),
        format!("{}ms", by.as_millis()),
    ]
}

fn rules(device: &str, percent: u32) -> String {
    let drop = match percent {
        100 => "drop".to_owned(),
        some => format!("numgen random mod 100 < {some} drop"),
    };
    let chain = |hook: &str, side: &str| {
        format!("chain {hook} {{ type filter hook {hook} priority -300; {side} \"{device}\" {drop}; }}\n")
    };
    let [family, name] = TABLE;
    let (inwards, outwards) = (chain("input", "iifname"), chain("output", "oifname"));
    format!("table {family} {name} {{\n{inwards}{outwards}}}\n")
}

async fn feed(mut command: Command, text: &str) -> Result<(), String> {
    let name = command.as_std().get_program().display().to_string();
    let cannot = |error: std::io::Error| format!("{name} cannot be started: {error}");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot)?;
    let work = async {
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = timeout(TOOL_MAX, work)
        .await
        .map_err(|_| format!("{name} did not end within {} s", TOOL_MAX.as_secs()))?
        .map_err(cannot)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(ended("nft", output.status, &output.stderr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_off_the_list_of_ip() {
        let list = "1: lo: <LOOPBACK> mtu 65536 qdisc noop state DOWN\n\
                    7: inner0@if8: <BROADCAST,UP> mtu 1500\\    link/ether 00:00\n\
                    9: eth0.12@eth0: <UP> mtu 1500\n";
        let names: Vec<String> = names(list).collect();
        assert_eq!(names, ["lo", "inner0", "eth0.12"]);
    }
}
