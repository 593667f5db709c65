//! A resolver whose names can stand for something else each time they are asked: as a hook, and as a DNS server.

use std::{
    collections::BTreeMap,
    net::{IpAddr, UdpSocket},
    sync::{Arc, Mutex},
};

use muster::actions::Lookup;

/// What each name stands for, one line of addresses for each time it is asked; the last line holds from then on.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    lines: BTreeMap<String, Vec<Vec<IpAddr>>>,
    asked: BTreeMap<String, usize>,
}

impl Names {
    pub fn new(names: &[(&str, &[&str])]) -> Self {
        let line = |line: &&str| line.split(' ').map(|ip| ip.parse().unwrap()).collect();
        let lines = names
            .iter()
            .map(|(name, lines)| ((*name).to_owned(), lines.iter().map(line).collect()));
        Self(Arc::new(Mutex::new(Table {
            lines: lines.collect(),
            asked: BTreeMap::new(),
        })))
    }

    /// Forgets everything and stands for this from now on.
    pub fn become_these(&self, names: &[(&str, &[&str])]) {
        let new = Self::new(names);
        *self.0.lock().unwrap() = std::mem::take(&mut *new.0.lock().unwrap());
    }

    /// How often any name was asked.
    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.values().sum()
    }

    fn next(&self, name: &str) -> Vec<IpAddr> {
        let mut table = self.0.lock().unwrap();
        let time = table.asked.entry(name.to_owned()).or_default();
        *time += 1;
        let time = *time;
        let lines = table.lines.get(name).map(Vec::as_slice).unwrap_or_default();
        lines.get(time - 1).or(lines.last()).cloned().unwrap_or_default()
    }

    pub fn lookup(&self) -> Lookup {
        let names = self.clone();
        Lookup::by(move |host| {
            let names = names.clone();
            Box::pin(async move { Ok(names.next(&host.to_lowercase())) })
        })
    }

    /// Answers DNS on this socket for as long as the process lives: IPv4 addresses, valid for no time at all.
    pub fn serve(&self, socket: UdpSocket) {
        let names = self.clone();
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                if let Some(answer) = names.answer(&packet[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
    }

    /// One question in, its answers out (RFC 1035, section 4.1).
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        const TYPE_A: u16 = 1;
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let length = usize::from(*question.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
        let end = at + 4;
        let found = match kind {
            TYPE_A => self.next(&labels.join(".")),
            _ => Vec::new(),
        };
        let mut answer = question.get(..2)?.to_vec();
        answer.extend([0x81, 0x80, 0, 1]);
        answer.extend(u16::try_from(found.len()).ok()?.to_be_bytes());
        answer.extend([0, 0, 0, 0]);
        answer.extend(question.get(12..end)?);
        for ip in found {
            let IpAddr::V4(ip) = ip else { continue };
            // The name of the question, A, IN, no time to live, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            answer.extend(ip.octets());
        }
        Some(answer)
    }
}
