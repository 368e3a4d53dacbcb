//! The relay on its stage. Its own commands:
//!
//! - `relay lease=TIME max-nodes=N max-unknown=N trust=NETWORK… message-rate=N
//!   max-shared=N max-shared-bytes=N`: it starts.
//! - `crowd N COUNT`: over connection N so many nodes register.
//! - `pile N PORT COUNT`: over connection N a node registers and shares so many
//!   files of one byte, with numbers as names.
//! - `storm N COUNT LINE`: the line is said so often, in one go; of the answers
//!   only those that differ from the one before are shown, with their number.
//! - `letters N COUNT LINE`: the line and so many letters; they are shown by
//!   their number.
//! - `brief N LINE`: as `say`, but of a long answer only the ends are shown.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use goldenscript::{Command, Context};
use peerline::role::relay::{Quota, Relay, Settings, Trust};

use crate::stage::{Outcome, Stage, brief, time};

#[derive(Default)]
pub struct Play {
    stage: Option<Stage<Relay>>,
}

impl Play {
    fn start(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let mut settings = Settings {
            lease: Duration::from_secs(60),
            max_nodes: 1_000_000,
            max_of_host: 1024,
            max_unknown: 10,
            message_rate: 50,
            quota: Quota {
                files: 1_000_000,
                bytes: 1 << 28,
            },
            trust: Trust::new(Vec::new()),
        };
        let mut trusted = Vec::new();
        while let Some((key, value)) = args.next_key() {
            match key {
                "lease" => settings.lease = time(value)?,
                "max-nodes" => settings.max_nodes = value.parse()?,
                "max-of-host" => settings.max_of_host = value.parse()?,
                "max-unknown" => settings.max_unknown = value.parse()?,
                "message-rate" => settings.message_rate = value.parse()?,
                "max-shared" => settings.quota.files = value.parse()?,
                "max-shared-bytes" => settings.quota.bytes = value.parse()?,
                "trust" => trusted.push(value.parse()?),
                key => return Err(format!("a relay has no {key}").into()),
            }
        }
        settings.trust = Trust::new(trusted);
        let began = Instant::now();
        let relay = Relay::new(settings, began);
        let (_, news) = channel();
        let show_file = |_: &_| unreachable!("a relay sends no files");
        self.stage = Some(Stage::new(relay, began, news, show_file));
        args.reject_next()
    }

    fn crowd(stage: &mut Stage<Relay>, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let count: u16 = args.next_pos().ok_or("how many?")?.parse()?;
        for port in 1..=count {
            stage.arrive(conn, format!("REGISTER * {port}\n").as_bytes())?;
        }
        let answers = stage.seen();
        let registered = answers.matches("< OK ").count();
        assert_eq!(registered, usize::from(count), "{answers}");
        Ok(())
    }
}

impl Play {
    fn pile(stage: &mut Stage<Relay>, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let port = args.next_pos().ok_or("which port?")?;
        let count: u32 = args.next_pos().ok_or("how many?")?.parse()?;
        stage.arrive(conn, format!("REGISTER * {port}\n").as_bytes())?;
        let shares = (1..=count).map(|number| format!("SHARE 1 - f{number:05}\n"));
        stage.arrive(conn, shares.collect::<String>().as_bytes())?;
        let accepted = stage.seen().matches("< OK").count();
        assert_eq!(accepted, count as usize + 1);
        args.reject_next()
    }

    fn storm(stage: &mut Stage<Relay>, command: &Command) -> Outcome<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let count: usize = args.next_pos().ok_or("how often?")?.parse()?;
        let line = args.next_pos().ok_or("which line?")?;
        args.reject_next()?;
        stage.arrive(conn, format!("{line}\n").repeat(count).as_bytes())?;
        let seen = stage.seen();
        let lines: Vec<&str> = seen.lines().collect();
        let same = lines.chunk_by(|line, next| line == next);
        Ok(same
            .map(|same| format!("{} x {}\n", same.len(), same[0]))
            .collect())
    }

    fn letters(stage: &mut Stage<Relay>, command: &Command) -> Outcome<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let count: usize = args.next_pos().ok_or("how many?")?.parse()?;
        let line = args.next_pos().ok_or("which line?")?;
        args.reject_next()?;
        let letters = "x".repeat(count);
        stage.arrive(conn, format!("{line}{letters}\n").as_bytes())?;
        Ok(stage
            .seen()
            .replace(&letters, &format!("({count} letters)")))
    }

    fn brief(stage: &mut Stage<Relay>, command: &Command) -> Outcome<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let line = args.next_pos().ok_or("which line?")?;
        args.reject_next()?;
        stage.arrive(conn, format!("{line}\n").as_bytes())?;
        Ok(brief(&stage.seen()))
    }
}

impl goldenscript::Runner for Play {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Outcome<String> {
        if command.name == "relay" {
            self.start(command)?;
        }
        let stage = self.stage.as_mut().ok_or("start with: relay")?;
        match command.name.as_str() {
            "relay" => {}
            "crowd" => Self::crowd(stage, command)?,
            "pile" => Self::pile(stage, command)?,
            "storm" => return Self::storm(stage, command),
            "letters" => return Self::letters(stage, command),
            "brief" => return Self::brief(stage, command),
            _ => stage.run(command)?,
        }
        Ok(stage.seen())
    }
}
