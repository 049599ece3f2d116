//! As much of XML and of its schemas as the JUnit report uses: a strict parser, and elements with their attributes.

use std::collections::BTreeMap;

/// An element with what is in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

/// The root of a document that is well-formed.
pub(super) fn parse(text: &str) -> Result<Element, String> {
    let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
    if let Some(c) = text.chars().find(|c| !allowed(*c)) {
        return Err(format!("{c:?} may not stand in XML"));
    }
    let mut rest = text;
    if let Some(declared) = rest.strip_prefix("<?xml") {
        rest = declared.split_once("?>").ok_or("a declaration without end")?.1;
    }
    let mut stack: Vec<Element> = Vec::new();
    let mut root = None;
    while let Some(at) = rest.find('<') {
        let between = &rest[..at];
        match stack.last_mut() {
            Some(open) => open.text.push_str(&unescaped(between)?),
            None if between.trim().is_empty() => {}
            None => return Err(format!("text outside the root: {between}")),
        }
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").ok_or("a comment without end")?.1;
            continue;
        }
        let (tag, behind) = rest[1..].split_once('>').ok_or("a tag without end")?;
        rest = behind;
        let closed = if let Some(name) = tag.strip_prefix('/') {
            let element = stack.pop().filter(|element| element.name == name);
            Some(element.ok_or(format!("</{name}> closes nothing"))?)
        } else if let Some(tag) = tag.strip_suffix('/') {
            Some(opened(tag)?)
        } else {
            stack.push(opened(tag)?);
            None
        };
        match (closed, stack.last_mut()) {
            (Some(element), Some(parent)) => parent.children.push(element),
            (Some(element), None) if root.is_none() => root = Some(element),
            (Some(_), None) => return Err("two roots".to_owned()),
            (None, _) => {}
        }
    }
    if !stack.is_empty() || !rest.trim().is_empty() {
        return Err("the document ends too early or too late".to_owned());
    }
    root.ok_or_else(|| "no root".to_owned())
}

fn opened(tag: &str) -> Result<Element, String> {
    let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let mut element = Element { name: name.to_owned(), ..Element::default() };
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(element);
        }
        let (name, behind) = rest.split_once('=').ok_or(format!("no value in <{tag}>"))?;
        let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("a value without quotes")?;
        let (value, behind) = behind[1..].split_once(quote).ok_or("a value without end")?;
        if element.attributes.insert(name.to_owned(), unescaped(value)?).is_some() {
            return Err(format!("{name} is there twice"));
        }
        rest = behind;
    }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (name, behind) = rest[at + 1..].split_once(';').ok_or("an & without ;")?;
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "#10" => '\n',
            "#9" => '\t',
            other => return Err(format!("&{other}; is not known")),
        });
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// All elements below, at any depth.
fn below<'e>(element: &'e Element, name: &str, found: &mut Vec<&'e Element>) {
    for child in &element.children {
        if child.name == name {
            found.push(child);
        }
        below(child, name, found);
    }
}

/// Where a document is not what the schema says: elements, their order, attributes and the types of these.
pub(super) fn violations(schema: &Element, element: &Element) -> Vec<String> {
    let Some(declared) = schema.children.iter().find(|child| child.attributes.get("name") == Some(&element.name))
    else {
        return vec![format!("<{}> is not in the schema", element.name)];
    };
    let mut found = Vec::new();
    let mut attributes = Vec::new();
    below(declared, "xs:attribute", &mut attributes);
    let named = |name: &String| attributes.iter().find(|a| a.attributes.get("name") == Some(name));
    for (name, value) in &element.attributes {
        let kind = named(name).and_then(|a| a.attributes.get("type")).map(String::as_str);
        let fits = match kind {
            Some("xs:string") => true,
            Some("xs:nonNegativeInteger") => value.parse::<u64>().is_ok(),
            Some("xs:decimal") => value.parse::<f64>().is_ok(),
            _ => false,
        };
        if !fits {
            found.push(format!("{}: {name}=\"{value}\" is not as declared", element.name));
        }
    }
    for attribute in &attributes {
        let name = attribute.attributes.get("name").expect("a name");
        if !element.attributes.contains_key(name) {
            found.push(format!("<{}> has no {name}", element.name));
        }
    }
    let mut parts = Vec::new();
    below(declared, "xs:element", &mut parts);
    let mut part = 0;
    for child in &element.children {
        let at = parts.iter().skip(part).position(|p| p.attributes.get("ref") == Some(&child.name));
        match at {
            Some(ahead) => {
                part += ahead;
                if !parts[part].attributes.contains_key("maxOccurs") {
                    part += 1;
                }
            }
            None => found.push(format!("<{}> cannot stand in <{}>", child.name, element.name)),
        }
        found.extend(violations(schema, child));
    }
    found
}
