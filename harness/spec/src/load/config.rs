//! Which data schemas a config file of a source or sink names: the values of its keys `schema.file`, however they are nested.

use super::tree::{Node, read};

/// Files that the text names, in its order; none of a text that is no YAML: whoever uses the file says so.
pub fn named_schemas(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(root) = read(text) {
        walk(&root, "", &mut found);
    }
    found
}

fn walk(node: &Node, path: &str, found: &mut Vec<String>) {
    for entry in node.entries() {
        let key = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        match entry.value.text() {
            Some(file) if names_schema(&key) => found.push(file),
            _ => walk(&entry.value, &key, found),
        }
    }
}

/// The property with this key names a schema file.
pub fn names_schema(key: &str) -> bool {
    key == "schema.file" || key.ends_with(".schema.file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_be_nested_or_have_dots() {
        let text = "\
datasource:
  type: kafka
  schema: {key.format: string, value.schema.file: schemas/trades.yaml}
  consumer_config: {group.id: a}
schema:
  file: other.yaml
schema.filename: none
";
        assert_eq!(named_schemas(text), ["schemas/trades.yaml", "other.yaml"]);
        assert_eq!(named_schemas("a: [b"), Vec::<String>::new());
        assert_eq!(["schema.file", "x.value.schema.file", "myschema.file"].map(names_schema), [true, true, false]);
    }
}
