//! Any price on the web, as a user describes it on the command line.

use std::fmt;

use super::csv::{Row, Table};
use super::document::Origin;
use super::entry::{Entry, Mapping, Query};
use super::json::{Node, Pointer, scalar};
use super::number::{NumberField, Scale};
use super::template::{SymbolFormat, Template};
use super::time::{TimeField, TimeUnit};
use super::{Exchange, http_url};

/// A URL whose answer has a price. Such a source has one symbol, whatever its name.
#[derive(Clone, Debug, Default)]
pub struct Custom {
    /// Its name in the log.
    pub name: String,
    /// What is asked, as it is.
    pub url: String,
    /// Where the answer has the price.
    pub price: Place,
    /// Where it has the time of the price; its unit is inferred from its length.
    pub time: Option<Place>,
    /// The power of ten that the price is multiplied by.
    pub scale: Scale,
    /// The row that counts, if the answer is CSV.
    pub row: Option<Row>,
}

/// Where an answer has something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In JSON.
    Pointer(Pointer),
    /// In the column of that name, of a table in CSV.
    Column(String),
}

impl Exchange {
    /// A source that a user describes.
    ///
    /// # Errors
    /// A sentence, when the URL is invalid or its places do not fit together.
    pub fn custom(custom: Custom) -> Result<Self, String> {
        http_url(&custom.url)?;
        let csv = custom.table()?;
        let answer = Mapping {
            last: NumberField::at(custom.price.into_pointer()).scaled_by(custom.scale),
            any_number: true,
            time: custom.time.map(|place| TimeField {
                at: place.into_pointer(),
                unit: TimeUnit::Auto,
                of: Origin::Entry,
                or: None,
            }),
            ..Mapping::default()
        };
        let entry = Entry {
            id: ID.to_owned(),
            name: custom.name,
            spelling: SymbolFormat {
                market: Template::parse("{BASE}/{QUOTE}")?,
                ..SymbolFormat::default()
            },
            interval_ms: INTERVAL_MS,
            one: Some(Query {
                url: Template::verbatim(&custom.url),
                post: None,
                answer,
            }),
            ..Entry::default()
        };
        Ok(Self { entry, csv })
    }
}

impl Exchange {
    /// A member of a user's source that is likely to be the exponent of its price, if the price is
    /// a long whole number and is not scaled: its place, and its name.
    pub fn likely_scale(&self, body: &[u8]) -> Option<(Scale, String)> {
        let one = self.entry.one.as_ref()?;
        let price = one.answer.last.unscaled_pointer();
        let price = price.filter(|_| self.id() == ID)?;
        let node = Node::parse(std::str::from_utf8(body).ok()?).ok()?;
        let digits = node.scalar(price)?;
        let is_long = digits.len() > WHOLE_DIGITS_MAX;
        if !is_long || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (_, parents) = price.tokens().split_last()?;
        EXPONENTS.iter().find_map(|(name, is_decimals)| {
            let place = Pointer::of_tokens(parents.iter().cloned().chain([(*name).to_owned()]));
            scalar(node.find(&place)?)?.parse::<i32>().ok()?;
            let scale = if *is_decimals {
                Scale::Decimals(place)
            } else {
                Scale::At(place)
            };
            Some((scale, (*name).to_owned()))
        })
    }
}

impl Custom {
    /// How its answer is read, if that is CSV.
    fn table(&self) -> Result<Option<Table>, String> {
        let places = [Some(&self.price), self.time.as_ref()];
        let is_column = |place: &&Place| matches!(place, Place::Column(_));
        let pointer = places.into_iter().flatten().find(|place| !is_column(place));
        match (&self.price, pointer) {
            (Place::Column(column), None) => Ok(Some(Table {
                column: column.clone(),
                row: self.row.unwrap_or_default(),
            })),
            (Place::Column(_), Some(pointer)) => Err(format!(
                "invalid place {pointer}: expected column:NAME, since the price is in a column"
            )),
            (Place::Pointer(_), _) if self.row.is_some() => {
                Err("the price must be in a column, such as column:Close, to have a row".to_owned())
            }
            (Place::Pointer(_), _) => match places.into_iter().flatten().find(is_column) {
                None => Ok(None),
                Some(place) => Err(format!(
                    "invalid place {place}: expected a JSON pointer such as /data/at, since the \
                     price is not in a column"
                )),
            },
        }
    }
}

impl Place {
    /// Reads `/data/price` or `column:Close`.
    ///
    /// # Errors
    /// A sentence that shows a valid one.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("column:") {
            Some("") => Err("missing name of the column, such as column:Close".to_owned()),
            Some(name) => Ok(Self::Column(name.to_owned())),
            None => Pointer::parse(text).map(Self::Pointer),
        }
    }

    /// The pointer to it, in a row as an object of its columns.
    fn into_pointer(self) -> Pointer {
        match self {
            Self::Pointer(pointer) => pointer,
            Self::Column(name) => Pointer::to_member(&name),
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::Pointer(Pointer::default())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(pointer) => write!(f, "{pointer}"),
            Self::Column(name) => write!(f, "column:{name}"),
        }
    }
}

const ID: &str = "custom";

/// The usual names of exponents, and whether it is the number of decimals.
const EXPONENTS: [(&str, bool); 4] = [
    ("expo", false),
    ("exponent", false),
    ("decimals", true),
    ("precision", true),
];

/// The longest whole price that needs no explanation.
const WHOLE_DIGITS_MAX: usize = 9;

/// How often to ask a source about whose limits nothing is known.
const INTERVAL_MS: u64 = 1000;
