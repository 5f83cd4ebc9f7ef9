//! Markup that is well-formed by construction: HTML and SVG as a tree, escaped in one place.

use std::fmt::{self, Display, Formatter};

/// Elements that HTML writes without an end, and leaves of SVG.
const VOID: [&str; 6] = ["meta", "path", "rect", "line", "circle", "polyline"];

/// A text or an element.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Any text.
    Text(String),
    /// An element with its attributes and what it holds.
    Element(&'static str, Vec<(&'static str, String)>, Vec<Self>),
    /// A style sheet, which HTML reads without unescaping; it must hold none of `<`, `>` and `&`.
    Style(&'static str),
}

/// An element.
pub(super) fn tag(name: &'static str) -> Node {
    Node::Element(name, Vec::new(), Vec::new())
}

impl Node {
    /// With an attribute more.
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        if let Self::Element(_, attributes, _) = &mut self {
            attributes.push((name, value.to_string()));
        }
        self
    }

    /// With something more in it.
    pub(super) fn add(self, child: impl Into<Self>) -> Self {
        self.all([child.into()])
    }

    /// With more in it.
    pub(super) fn all(mut self, more: impl IntoIterator<Item = Self>) -> Self {
        if let Self::Element(_, _, children) = &mut self {
            children.extend(more);
        }
        self
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Display for Node {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => escaped(text, out),
            Self::Style(sheet) => write!(out, "<style>\n{sheet}</style>"),
            Self::Element(name, attributes, children) => {
                write!(out, "<{name}")?;
                for (attribute, value) in attributes {
                    write!(out, " {attribute}=\"")?;
                    escaped(value, out)?;
                    out.write_str("\"")?;
                }
                if VOID.contains(name) {
                    return out.write_str("/>");
                }
                out.write_str(">")?;
                children.iter().try_for_each(|child| child.fmt(out))?;
                write!(out, "</{name}>")
            }
        }
    }
}

/// Text as HTML and XML both read it, in element and attribute alike. What XML knows no character for is replaced.
fn escaped(text: &str, out: &mut Formatter<'_>) -> fmt::Result {
    for letter in text.chars() {
        match letter {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            '\t' | '\n' => write!(out, "{letter}")?,
            _ if letter.is_control() => write!(out, "{}", char::REPLACEMENT_CHARACTER)?,
            _ => write!(out, "{letter}")?,
        }
    }
    Ok(())
}
