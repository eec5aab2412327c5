"""The site: what people do with the record."""
