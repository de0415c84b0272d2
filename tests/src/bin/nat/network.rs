//! An internet of network namespaces: a core that forwards, and behind it relays, hosts, and routers with hosts behind them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::Child;

use crate::kinds::{Kind, Over};

/// The name of all namespaces begins so, with the process that made them behind it.
const PREFIX: &str = "ggen-nat-";

/// What goes out to the internet from a home: slow enough that a download lasts longer than it takes to punch a hole, as it does at home.
const UPLINK: &str = "rate 15mbit burst 64kb latency 100ms";

/// Where a relay listens.
pub(crate) const RELAY_LINK: u8 = 1;

/// The namespaces, which go when it is dropped.
pub(crate) struct Network {
    prefix: String,
    namespaces: Vec<String>,
    links: u8,
    /// Of routers that are asked for something: what answers, and what it was told.
    answering: Vec<Child>,
    directory: TempDir,
}

/// A namespace that programs run in.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    namespace: String,
}

impl Place {
    /// A program in this namespace. It is the process that is started, so that ending that ends it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program).kill_on_drop(true).stdin(Stdio::null());
        command
    }
}

impl Network {
    /// The core, and the place of a relay beside it. What a run left that was killed is removed first.
    pub(crate) fn new() -> Result<(Self, Place)> {
        remove_left()?;
        let mut network = Self {
            prefix: format!("{PREFIX}{}-", std::process::id()),
            namespaces: Vec::new(),
            links: RELAY_LINK,
            answering: Vec::new(),
            directory: tempfile::tempdir()?,
        };
        let core = network.namespace("core")?;
        run_in(&core, FORWARD)?;
        let relay = network.namespace("relay")?;
        network.link(&relay, RELAY_LINK)?;
        Ok((network, Place { namespace: relay }))
    }

    /// Where the relay is.
    pub(crate) fn relay_address() -> String {
        address(RELAY_LINK)
    }

    /// A host behind what it is said to be behind. Between such hosts only one of TCP and QUIC goes through, so that what is measured is that one;
    /// TCP to the relay does in any case.
    pub(crate) fn host(&mut self, kind: Kind, over: Over, name: &str) -> Result<Place> {
        self.links = self.links.checked_add(1).context("too many hosts")?;
        let number = self.links;
        let outside = self.namespace(&format!("{name}-outside"))?;
        self.link(&outside, number)?;
        let relay = Self::relay_address();
        let only = match over {
            Over::Tcp => "meta l4proto udp drop".to_owned(),
            Over::Quic => format!("ip saddr != {relay} ip daddr != {relay} meta l4proto tcp drop"),
        };
        let table = format!("t{number}");
        let chain = format!(
            "table ip {table} {{\n chain forward {{\n type filter hook forward priority filter; policy accept;\n \
             iifname l{number} {only}\n oifname l{number} {only}\n }}\n}}"
        );
        run_in(&self.namespaces[0].clone(), &nft(&chain))?;
        run_in(&outside, &format!("tc qdisc add dev wan root tbf {UPLINK}"))?;
        if kind == Kind::Public {
            return Ok(Place { namespace: outside });
        }
        let inside = self.namespace(&format!("{name}-inside"))?;
        run("ip", &["link", "add", "lan", "netns", &outside, "type", "veth", "peer", "name", "eth", "netns", &inside])?;
        let lan = format!("192.168.{number}");
        run_in(&outside, &format!("ip address add {lan}.1/24 dev lan; ip link set lan up\n{FORWARD}"))?;
        run_in(&outside, &nft(&router(kind, &format!("{lan}.2"))))?;
        if kind == Kind::Upnp {
            self.answer_upnp(&outside, &lan)?;
        }
        let route = format!("ip route add default via {lan}.1");
        run_in(&inside, &format!("ip address add {lan}.2/24 dev eth; ip link set eth up; {route}"))?;
        Ok(Place { namespace: inside })
    }

    /// Starts what lets others in at a router when somebody in its network asks for it.
    fn answer_upnp(&mut self, router: &str, lan: &str) -> Result<()> {
        let path = self.directory.path().join(router);
        let settings = format!(
            "ext_ifname=wan\nlistening_ip=lan\nport=5000\nenable_upnp=yes\nenable_natpmp=no\nsecure_mode=yes\n\
             uuid=00000000-0000-0000-0000-000000000000\nallow 1024-65535 {lan}.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
        );
        std::fs::write(&path, settings)?;
        let mut command = Place { namespace: router.to_owned() }.command("miniupnpd");
        command.arg("-d").arg("-f").arg(&path).arg("-P").arg(path.with_extension("pid"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.answering.push(child.context("miniupnpd does not start")?);
        Ok(())
    }

    /// Connects a namespace to the core, by an interface `wan` with a public address.
    fn link(&self, namespace: &str, number: u8) -> Result<()> {
        let (core, name) = (&self.namespaces[0], format!("l{number}"));
        run("ip", &["link", "add", &name, "netns", core, "type", "veth", "peer", "name", "wan", "netns", namespace])?;
        run_in(core, &format!("ip address add {} dev {name}; ip link set {name} up", gateway(number, "/24")))?;
        let route = format!("ip route add default via {}", gateway(number, ""));
        run_in(namespace, &format!("ip address add {}/24 dev wan; ip link set wan up; {route}", address(number)))
    }

    fn namespace(&mut self, name: &str) -> Result<String> {
        let name = format!("{}{name}", self.prefix);
        run("ip", &["netns", "add", &name])?;
        self.namespaces.push(name.clone());
        // IPv6 has no routers of these kinds.
        run_in(&name, "ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || true")?;
        Ok(name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            if let Err(error) = remove(namespace) {
                eprintln!("{error:#}");
            }
        }
    }
}

const FORWARD: &str = "echo 1 > /proc/sys/net/ipv4/ip_forward";

/// It counts as public everywhere, and leaves no namespace: with the ranges for documentation and measurements UPnP has nothing to do. Each host is at a
/// place of its own, as hosts are: what comes from one place has one share of a relay.
fn address(link: u8) -> String {
    format!("11.{link}.0.2")
}

fn gateway(link: u8, length: &str) -> String {
    format!("11.{link}.0.1{length}")
}

/// The rules of a router. Linux itself gives a port of the peer the same port outside, whomever it talks to, and takes only what answers;
/// what comes unasked is dropped before it leaves a trace that the next hole would stumble over.
fn router(kind: Kind, peer: &str) -> String {
    let source = if kind == Kind::Symmetric { "masquerade random,fully-random" } else { "masquerade" };
    let forward = if kind == Kind::NoUdp { "meta l4proto udp drop" } else { "" };
    let (destination, note) = match kind {
        Kind::Cone => (
            format!("iifname wan meta l4proto . th dport @used dnat ip to {peer}"),
            "iifname lan update @used { meta l4proto . th sport }",
        ),
        _ => (String::new(), ""),
    };
    // The names are those that miniupnpd looks for.
    format!(
        "table inet filter {{
            chain prerouting_miniupnpd {{}}
            chain postrouting_miniupnpd {{}}
            chain miniupnpd {{}}
            set used {{
                typeof meta l4proto . th dport; flags dynamic, timeout; timeout 5m; size 65535;
            }}
            chain postrouting {{
                type nat hook postrouting priority srcnat; policy accept;
                jump postrouting_miniupnpd
                oifname wan {source}
            }}
            chain prerouting {{
                type nat hook prerouting priority dstnat; policy accept;
                jump prerouting_miniupnpd
                {destination}
            }}
            chain forward {{
                type filter hook forward priority filter; policy drop;
                {forward}
                {note}
                iifname lan accept
                ct state established,related accept
                ct status dnat accept
            }}
            chain input {{
                type filter hook input priority filter; policy drop;
                iifname lan accept
                ct state established,related accept
            }}
        }}"
    )
}

fn nft(rules: &str) -> String {
    format!("nft -f - <<'END'\n{rules}\nEND")
}

/// Runs a script of the shell in a namespace.
fn run_in(namespace: &str, script: &str) -> Result<()> {
    run("ip", &["netns", "exec", namespace, "sh", "-ec", script])
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let shown = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{program} does not start"))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", shown(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Ends what still runs in a namespace, and removes it.
fn remove(namespace: &str) -> Result<()> {
    let inside = Command::new("ip").args(["netns", "pids", namespace]).output().context("ip does not start")?;
    for process in String::from_utf8_lossy(&inside.stdout).split_whitespace() {
        // It may have ended meanwhile.
        _ = run("kill", &["-s", "KILL", process]);
    }
    run("ip", &["netns", "delete", namespace])
}

/// Removes namespaces of runs that were killed.
fn remove_left() -> Result<()> {
    let listed = Command::new("ip").args(["netns", "list"]).output().context("ip does not start")?;
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            remove(name)?;
        }
    }
    Ok(())
}
