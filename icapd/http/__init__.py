"""HTTP as values: headers, message heads, media types, codings, charsets."""
