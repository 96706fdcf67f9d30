"""What schemathesis must be told to send every body that our document names."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def piece_of_an_upload(_context, value):
    """Bytes as they are; what else the generator thinks of, as text."""
    return {"data": value if isinstance(value, bytes) else str(value).encode()}
