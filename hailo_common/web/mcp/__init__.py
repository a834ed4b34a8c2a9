"""The Model Context Protocol at `/mcp`: its streamable HTTP transport, without sessions.

<https://modelcontextprotocol.io/specification/2026-07-28>
"""
