//! The options of servers that share a log: where it is, and what this server does about it.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{BadOption, Options, path, period};
use crate::cluster::Role;
use crate::feed::{Selection, Settings as FeedSettings, Source};
use crate::nats::{Credentials, NatsUrl, Settings, Traffic};
use crate::server::relay::Member;

/// How a server shares a log with others.
#[derive(Debug)]
pub struct ClusterArgs {
    pub(crate) role: Role,
    pub(crate) broker: Settings,
    /// How long the broker may take to answer.
    pub(crate) timeout: Duration,
}

/// The options of a server that shares a log; `None` for a server on its own.
pub(super) fn cluster(
    options: &mut Options,
    source: &Source,
) -> Result<Option<ClusterArgs>, BadOption> {
    let publish = options.value("--publish", broker_url)?;
    let takeover_after = options.value("--takeover-after", period)?;
    let creds = options.value("--broker-creds", path)?;
    let token = options.value("--broker-token", path)?;
    let timeout = options.value("--broker-timeout", period)?;
    let connect = options.value("--broker-connect", period)?;
    let (url, role) = match (source, publish) {
        (Source::Log(_), Some(_)) => {
            let error = "a server either writes a log or reads one: expected another --source, such \
                         as binance";
            return Err(BadOption::new("--publish", error));
        }
        (Source::Log(url), None) => (url.clone(), Role::Edge),
        (_, Some(url)) => {
            let takeover_after = takeover_after.unwrap_or(TAKEOVER_AFTER);
            (url, Role::Origin { takeover_after })
        }
        (_, None) => {
            let options = [
                ("--takeover-after", takeover_after.is_some()),
                ("--broker-creds", creds.is_some()),
                ("--broker-token", token.is_some()),
                ("--broker-timeout", timeout.is_some()),
                ("--broker-connect", connect.is_some()),
            ];
            return match options.iter().find(|(_, is_given)| *is_given) {
                Some((name, _)) => Err(BadOption::new(name, NEEDS_BROKER)),
                None => Ok(None),
            };
        }
    };
    if let Some(takeover_after) = takeover_after.filter(|&time| time < TAKEOVER_AFTER_MIN) {
        let error = format!(
            "invalid time {takeover_after:?}: expected at least {TAKEOVER_AFTER_MIN:?}, since an origin \
             may write nothing for a second"
        );
        return Err(BadOption::new("--takeover-after", error));
    }
    if role == Role::Edge && takeover_after.is_some() {
        let error = "works with --publish only: an edge never takes over";
        return Err(BadOption::new("--takeover-after", error));
    }
    let broker = Settings {
        credentials: credentials(&url, creds, token)?,
        url,
        connect_timeout: connect.unwrap_or(CONNECT_TIMEOUT),
        client_name: "tickertape".to_owned(),
        traffic: Traffic::default(),
    };
    Ok(Some(ClusterArgs {
        role,
        broker,
        timeout: timeout.unwrap_or(ANSWER_TIMEOUT),
    }))
}

impl ClusterArgs {
    /// Reads the files that it needs, and names this server.
    ///
    /// # Errors
    /// When the certificates of `--ca` or an entry of `--symbols` cannot be used.
    pub fn prepare(self, feed: &FeedSettings) -> Result<Member, String> {
        let is_edge = self.role == Role::Edge;
        let selection = if is_edge && !feed.symbols.is_empty() {
            Selection::parse(&feed.symbols)?
        } else {
            Selection::all()
        };
        // A script tells its symbols line by line, and an exchange what a pattern stands for.
        let lists_later =
            feed.symbols.is_empty() || feed.symbols.iter().any(|symbol| symbol.contains('*'));
        Ok(Member {
            role: self.role,
            broker: self.broker,
            timeout: self.timeout,
            roots: feed.live.roots()?,
            selection,
            lists_later,
        })
    }
}

fn broker_url(text: &str) -> Result<NatsUrl, String> {
    text.parse()
}

/// The credentials, from one place only.
fn credentials(
    url: &NatsUrl,
    creds: Option<PathBuf>,
    token: Option<PathBuf>,
) -> Result<Option<Credentials>, BadOption> {
    let wrong = |name, error| Err(BadOption::new(name, error));
    match (creds, token, url.credentials().is_some()) {
        (Some(_), Some(_), _) => wrong("--broker-creds", "cannot be combined with --broker-token"),
        (Some(_), None, true) => wrong("--broker-creds", IN_URL),
        (None, Some(_), true) => wrong("--broker-token", IN_URL),
        (Some(file), None, false) => Credentials::from_creds_file(&file)
            .map(Some)
            .map_err(|error| BadOption::new("--broker-creds", error)),
        (None, Some(file), false) => Credentials::from_token_file(&file)
            .map(Some)
            .map_err(|error| BadOption::new("--broker-token", error)),
        (None, None, _) => Ok(None),
    }
}

const NEEDS_BROKER: &str = "works with --publish, --source nats://… or --source tls://… only";

const IN_URL: &str = "the URL has credentials already: expected them in one place only";

/// How long the log may be silent before another origin takes over.
const TAKEOVER_AFTER: Duration = Duration::from_secs(3);

const TAKEOVER_AFTER_MIN: Duration = Duration::from_millis(1_500);

/// How long the broker may take to answer, and to accept a connection.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
