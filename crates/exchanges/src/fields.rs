//! What a quote may have beside the price: bid, ask and the figures of the last 24 hours.
//!
//! Few servers want them, so an empty [`Fields`] is one word and is never allocated, and only those
//! that [`Exchange::with_fields`](crate::Exchange::with_fields) asks for are read.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use super::number::NumberField;
use super::price::Price;

/// One number beside the price. The names are those on the wire and on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The highest price that somebody offers to pay.
    Bid,
    /// The lowest price that somebody asks for.
    Ask,
    /// What was traded in 24 hours, in the base currency.
    Volume,
    /// What was traded in 24 hours, in the quote currency.
    QuoteVolume,
    /// The change of the price over 24 hours, in per cent.
    Change,
    /// The highest price of 24 hours.
    High,
    /// The lowest price of 24 hours.
    Low,
    /// The price 24 hours ago.
    Open,
}

impl Field {
    /// All fields, in the order in which they are written.
    pub const ALL: [Self; 8] = [
        Self::Bid,
        Self::Ask,
        Self::Volume,
        Self::QuoteVolume,
        Self::Change,
        Self::High,
        Self::Low,
        Self::Open,
    ];

    /// Its name on the wire and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::Volume => "volume",
            Self::QuoteVolume => "quote_volume",
            Self::Change => "change",
            Self::High => "high",
            Self::Low => "low",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        let mut all = Self::ALL.into_iter();
        all.find(|field| field.name() == text)
            .ok_or_else(|| UnknownField(text.to_owned()))
    }
}

/// A name that no field has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField(String);

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = FieldSet::ALL;
        write!(f, "unknown field '{}': expected some of {known}", self.0)
    }
}

impl std::error::Error for UnknownField {}

/// A selection of fields; as text, their names with commas between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u8);

impl FieldSet {
    /// No field.
    pub const NONE: Self = Self(0);

    /// Every field.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Whether it has this one.
    pub fn contains(self, field: Field) -> bool {
        self.0 & bit(field) != 0
    }

    /// Adds one.
    pub fn insert(&mut self, field: Field) {
        self.0 |= bit(field);
    }

    /// Those of either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that `other` does not have.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its fields, in the order in which they are written.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        let all = Field::ALL.into_iter();
        all.filter(move |&field| self.contains(field))
    }
}

fn bit(field: Field) -> u8 {
    1 << field as u8
}

impl FromIterator<Field> for FieldSet {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        let mut set = Self::NONE;
        fields.into_iter().for_each(|field| set.insert(field));
        set
    }
}

impl FromStr for FieldSet {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        let names = text.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(Field::from_str)
            .collect()
    }
}

impl fmt::Display for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Field::name).collect();
        f.write_str(&names.join(", "))
    }
}

/// The fields that one quote has, each with the digits that were sent. A copy is cheap: the last
/// ones of a symbol are kept, and also go into its tick.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Option<Arc<[Option<Price>; Field::ALL.len()]>>);

impl Fields {
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of a field, if it is there.
    pub fn get(&self, field: Field) -> Option<&Price> {
        self.0.as_ref()?[field as usize].as_ref()
    }

    /// Adds a field, or replaces its value.
    pub fn set(&mut self, field: Field, value: Price) {
        Arc::make_mut(self.0.get_or_insert_default())[field as usize] = Some(value);
    }

    /// Those that are there, in the order in which they are written.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &Price)> {
        let values = self.0.as_deref().into_iter().flatten();
        let fields = Field::ALL.into_iter().zip(values);
        fields.filter_map(|(field, value)| Some((field, value.as_ref()?)))
    }

    /// Which fields are there.
    pub fn names(&self) -> FieldSet {
        self.iter().map(|(field, _)| field).collect()
    }

    /// Drops every field that is not in `wanted`.
    pub fn retain(&mut self, wanted: FieldSet) {
        if self.names().without(wanted) != FieldSet::NONE {
            let values = self.iter();
            let kept = values.filter(|&(field, _)| wanted.contains(field));
            *self = kept.map(|(field, value)| (field, value.clone())).collect();
        }
    }

    /// Takes what it lacks from an older quote: a partial update says nothing about the rest.
    pub fn merge_missing_from(&mut self, older: &Self) {
        if self.is_empty() {
            self.clone_from(older);
            return;
        }
        for (field, value) in older.iter() {
            if self.get(field).is_none() {
                self.set(field, value.clone());
            }
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.iter();
        f.debug_map()
            .entries(fields.map(|(field, value)| (field.name(), value.as_str())))
            .finish()
    }
}

impl FromIterator<(Field, Price)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Field, Price)>>(values: I) -> Self {
        let mut fields = Self::default();
        let values = values.into_iter();
        values.for_each(|(field, value)| fields.set(field, value));
        fields
    }
}

/// Where an answer or a message has each field, as a catalogue entry says it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, NumberField>")]
pub(super) struct FieldPlaces {
    known: BTreeMap<Field, NumberField>,
    wanted: Vec<(Field, NumberField)>,
}

impl FieldPlaces {
    /// Those that the entry knows.
    pub(super) fn known(&self) -> FieldSet {
        self.known.keys().copied().collect()
    }

    /// All places, to be checked.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Field, &NumberField)> {
        self.known.iter().map(|(&field, place)| (field, place))
    }

    /// Chooses those to read from now on.
    pub(super) fn want(&mut self, wanted: FieldSet) {
        let known = self.known.iter();
        let wanted = known.filter(|&(&field, _)| wanted.contains(field));
        self.wanted = wanted
            .map(|(&field, place)| (field, place.clone()))
            .collect();
    }

    /// Those to read: none by default.
    pub(super) fn wanted(&self) -> &[(Field, NumberField)] {
        &self.wanted
    }
}

impl TryFrom<BTreeMap<String, NumberField>> for FieldPlaces {
    type Error = UnknownField;

    fn try_from(places: BTreeMap<String, NumberField>) -> Result<Self, UnknownField> {
        let known = places.into_iter();
        let known = known.map(|(name, place)| Ok((name.parse()?, place)));
        Ok(Self {
            known: known.collect::<Result<_, _>>()?,
            wanted: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    fn written(fields: &Fields) -> String {
        format!("{fields:?}")
    }

    #[test]
    fn a_name_stands_for_a_field_and_several_for_a_set() {
        for field in Field::ALL {
            assert_eq!(field.name().parse(), Ok(field));
        }
        let set: FieldSet = "quote_volume, bid,".parse().unwrap();
        assert_eq!(set.to_string(), "bid, quote_volume");
        assert_eq!("".parse(), Ok(FieldSet::NONE));
        assert_eq!(Field::ALL.into_iter().collect::<FieldSet>(), FieldSet::ALL);
        let error = "bid,spread".parse::<FieldSet>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown field 'spread': expected some of bid, ask, volume, quote_volume, change, \
             high, low, open"
        );
    }

    #[test]
    fn fields_come_in_their_order_whatever_the_order_they_were_set_in() {
        let mut fields = Fields::default();
        assert!(fields.is_empty());
        fields.set(Field::Open, price("1.0"));
        fields.set(Field::Bid, price("2.50"));
        fields.set(Field::Bid, price("2.60"));
        assert_eq!(written(&fields), r#"{"bid": "2.60", "open": "1.0"}"#);
        assert!(!fields.is_empty());
        assert_eq!(fields.get(Field::Ask), None);
    }

    #[test]
    fn only_wanted_fields_are_kept() {
        let low = (Field::Low, price("2.0"));
        let mut fields: Fields = [(Field::Bid, price("1")), low.clone()]
            .into_iter()
            .collect();
        assert_eq!(fields.names().to_string(), "bid, low");
        let wanted: FieldSet = "low, high".parse().unwrap();
        assert_eq!(fields.names().without(wanted).to_string(), "bid");
        fields.retain(wanted);
        assert_eq!(fields, [low].into_iter().collect());
        fields.retain(FieldSet::NONE);
        assert!(fields.is_empty());
    }

    #[test]
    fn an_empty_set_of_fields_is_one_word() {
        assert_eq!(size_of::<Fields>(), size_of::<usize>());
    }

    fn any_fields() -> impl Strategy<Value = Fields> {
        let value = ("[0-9]{1,9}\\.[0-9]{1,9}", 0..Field::ALL.len());
        proptest::collection::vec(value, 0..12).prop_map(|values| {
            let values = values.into_iter();
            values
                .map(|(digits, field)| (Field::ALL[field], price(&digits)))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn a_partial_update_keeps_what_it_does_not_mention(
            newer in any_fields(), older in any_fields(),
        ) {
            let mut merged = newer.clone();
            merged.merge_missing_from(&older);
            for field in Field::ALL {
                let expected = newer.get(field).or(older.get(field));
                prop_assert_eq!(merged.get(field), expected);
            }
        }
    }
}
