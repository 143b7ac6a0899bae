//! Messages in protobuf, from JSON whose keys are the numbers of fields.

use serde_json::Value;

/// The message in protobuf: a string becomes bytes with their length, a number a varint, an object
/// a message in the message, and an array one field for each item.
pub(super) fn encoded(json: &str) -> Vec<u8> {
    let value: Value = serde_json::from_str(json).expect("the format is JSON");
    let mut out = Vec::new();
    for (field, value) in value.as_object().into_iter().flatten() {
        // Faults may add members that are no fields.
        if let Ok(field) = field.parse() {
            write_field(field, value, &mut out);
        }
    }
    out
}

fn write_field(field: u64, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            for item in items {
                write_field(field, item, out);
            }
        }
        Value::Number(number) => match number.as_u64() {
            Some(natural) => {
                write_varint(field << 3, out);
                write_varint(natural, out);
            }
            None => write_bytes(field, number.to_string().as_bytes(), out),
        },
        Value::String(text) => write_bytes(field, text.as_bytes(), out),
        Value::Object(_) => write_bytes(field, &encoded(&value.to_string()), out),
        Value::Null | Value::Bool(_) => {}
    }
}

fn write_bytes(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(field << 3 | 2, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn fields_are_written_with_their_numbers_and_kinds() {
        // The examples of the protobuf documentation.
        assert_eq!(encoded(r#"{"1":150}"#), [0x08, 0x96, 0x01]);
        assert_eq!(encoded(r#"{"2":"testing"}"#), b"\x12\x07testing");
        assert_eq!(encoded(r#"{"3":{"1":150}}"#), [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(
            encoded(r#"{"6":["a","b"]}"#),
            [0x32, 1, b'a', 0x32, 1, b'b']
        );
        assert_eq!(encoded(r#"{"314":"x"}"#), [0xd2, 0x13, 1, b'x']);
    }
}
