"""The OpenAPI document as JSON, and as a self-contained page to try requests."""

from __future__ import annotations

import base64
import hashlib
from copy import deepcopy
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin

from qa_pipeline.api import schemas

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
summary{cursor:pointer;padding:.35rem 0}code,pre,textarea,input{font:14px/1.4 ui-monospace,monospace}
pre,textarea{width:100%;box-sizing:border-box;max-height:30rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere}
b{display:inline-block;min-width:4.5rem}label{display:block;margin:.3rem 0}details{border-bottom:1px solid #8886}
form{margin:.5rem 0 1rem 1rem}
"""

SCRIPT = """
const make = (tag, text, more) => Object.assign(document.createElement(tag), {textContent: text || ''}, more || {});
const deref = (spec, schema) => schema && schema.$ref ? spec.components.schemas[schema.$ref.split('/').pop()] : schema;
function example(spec, schema) {
  const shape = deref(spec, schema) || {}, value = {};
  for (const name of shape.required || []) {
    const of = deref(spec, shape.properties[name]) || {};
    value[name] = of.type === 'array' ? [example(spec, of.items)] : of.enum ? of.enum[0] : '';
  }
  return value;
}
function field(form, name, kind) {
  const label = make('label', name + ' ');
  const input = make('input', '', {name, type: kind || 'text', multiple: name === 'files'});
  label.append(input); form.append(label); return input;
}
async function send(method, path, form, inputs, body, output) {
  const query = new URLSearchParams(), headers = {}, key = document.getElementById('key').value;
  const options = {method, headers};
  for (const [of, input] of inputs) {
    if (of.in === 'path') path = path.replace('{' + of.name + '}', encodeURIComponent(input.value));
    else if (input.value) query.set(of.name, input.value);
  }
  if (key) headers.Authorization = 'Bearer ' + key;
  if (body && body.tagName === 'TEXTAREA') { options.body = body.value; headers['Content-Type'] = 'application/json'; }
  else if (body) options.body = new FormData(form);
  const answer = await fetch(path + (query.size ? '?' + query : ''), options), text = await answer.text();
  let shown = text; try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch (error) {}
  output.textContent = answer.status + '\\n' + shown;
}
function operation(spec, path, method, of) {
  const box = make('details'), head = make('summary'), form = make('form'), output = make('pre');
  head.append(make('b', method.toUpperCase()), make('code', path), make('span', ' ' + (of.summary || '')));
  form.append(make('p', of.description));
  const inputs = (of.parameters || []).map(one => [one, field(form, one.name)]);
  const content = of.requestBody ? of.requestBody.content : {};
  let body = null;
  if (content['application/json']) {
    body = make('textarea', JSON.stringify(example(spec, content['application/json'].schema), null, 2), {rows: 6});
    form.append(body);
  } else if (content['multipart/form-data']) {
    const shape = content['multipart/form-data'].schema;
    for (const name of shape.required) body = field(form, name, 'file');
  }
  form.append(make('button', 'Send'), output);
  form.addEventListener('submit', event => {
    event.preventDefault();
    send(method.toUpperCase(), path, form, inputs, body, output).catch(error => { output.textContent = error; });
  });
  box.append(head, form); return box;
}
fetch('schema/openapi.json').then(answer => answer.json()).then(spec => {
  const main = document.getElementById('operations');
  for (const [path, methods] of Object.entries(spec.paths))
    for (const [method, of] of Object.entries(methods)) main.append(operation(spec, path, method, of));
});
"""

PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>docqa API</title><style>{STYLE}</style></head>
<body><h1>docqa API</h1><p>The description for programs: <a href="schema/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<label>Key <input id="key" type="password" autocomplete="off"></label><main id="operations"></main>
<script>{SCRIPT}</script></body></html>
"""


def _allowed(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; connect-src 'self'; style-src {_allowed(STYLE)}; script-src {_allowed(SCRIPT)};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


# Name: meaning, type, and the statuses that have it; none: every status.
RESPONSE_HEADERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "X-Request-ID": ("The id of the request, as in the log: the client's own if it is a plain word.", "string", ()),
    "Retry-After": ("Seconds until the request may be tried again.", "integer", ("429",)),
    "WWW-Authenticate": ("The scheme of a key: Bearer.", "string", ("401",)),
    "Location": ("The address of what was created, or of the job that does it.", "string", ("201", "202")),
}


def _header(about: str, kind: str) -> dict[str, Any]:
    return {"description": about, "schema": {"type": kind}}


def _describe_headers(status: str, response: dict[str, Any]) -> None:
    """Name the headers that every response of a status has."""
    for name, (_, _, statuses) in RESPONSE_HEADERS.items():
        if not statuses or status in statuses:
            response.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}


class Description(JsonRenderPlugin):
    """The OpenAPI document as JSON. Adds what is common: response headers, and that unknown fields are refused."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON bytes."""
        described = deepcopy(openapi_schema)
        for name, schema in described["components"]["schemas"].items():
            shape = getattr(schemas, name, None)
            if shape is not None and shape.__struct_config__.forbid_unknown_fields:
                schema["additionalProperties"] = False
        described["components"]["headers"] = {
            name: _header(about, kind) for name, (about, kind, _) in RESPONSE_HEADERS.items()
        }
        for path in described["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    _describe_headers(status, response)
        return self.render_json(request, described)


class InteractivePage(OpenAPIRenderPlugin):
    """Serves the interactive page at /schema."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page; its script fetches the OpenAPI document."""
        return PAGE.encode()
