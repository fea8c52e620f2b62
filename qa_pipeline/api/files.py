"""File uploads and downloads: the OpenAPI description of an upload, and the headers of a download."""

from __future__ import annotations

from urllib.parse import quote

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

ANY_TYPE = "application/octet-stream"
A_FILE = {200: ResponseSpec(bytes, generate_examples=False, media_type="*/*", description="The file.")}
# Scripts in a downloaded file must never run in the user's browser.
HARMLESS = {"Content-Security-Policy": "default-src 'none'; sandbox"}


def files_body(name: str, **more: Schema) -> RequestBody:
    """The OpenAPI description of a multipart body with files in the field `name`. more: further fields."""
    one = Schema(type=OpenAPIType.STRING, content_media_type=ANY_TYPE)
    files = one if name == "file" else Schema(type=OpenAPIType.ARRAY, items=one)
    form = Schema(type=OpenAPIType.OBJECT, properties={name: files, **more}, required=[name])
    return RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)


def attachment(name: str) -> str:
    """Content-Disposition for any file name (RFC 6266, RFC 5987), with an ASCII fallback for old clients.

    >>> attachment('Bericht "März".pdf')
    'attachment; filename="Bericht _M_rz_.pdf"; filename*=UTF-8\\'\\'Bericht%20%22M%C3%A4rz%22.pdf'
    """
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
