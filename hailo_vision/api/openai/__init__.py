"""OpenAI's dialect: its routes, request reader, response writer, error format and stream format."""
