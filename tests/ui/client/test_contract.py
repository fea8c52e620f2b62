"""The page's copy of the contract: each field it reads is in the service's OpenAPI document, with that type."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from qa_pipeline.api.app import create_app
from qa_pipeline.service.service import Service
from qa_pipeline.service.settings import ServerSettings
from ui.client import schemas

Schema = dict[str, Any]
STRUCTS = [
    shape
    for _, shape in inspect.getmembers(schemas, inspect.isclass)
    if issubclass(shape, msgspec.Struct) and shape is not msgspec.Struct
]
# Where the page's name is not the document's, or stands for several: a field of one of them is enough.
NAMES = {
    "Documents": ("Listing",),
    "Answer": ("Answer", "AnswerQuotation"),
    "Corpus": ("CorpusStatus", "CorpusDetail"),
    "Document": ("DocumentText",),
    "Evaluation": ("Evaluation", "EvaluationDetail"),
    "Prediction": ("JudgedPrediction",),
}
# Of a stream and of a batch, which the document does not describe; tests against a live service do.
UNDESCRIBED = {"Event", "FailedQuestion"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    settings = ServerSettings(home=tmp_path_factory.mktemp("contract") / "home")
    return create_app(Service(settings)).openapi_schema.to_schema()


class Contract:
    """Both sides' schemas by name, and whether what one sends fits what the other reads."""

    def __init__(self, document: Schema, shape: type[msgspec.Struct]) -> None:
        self.sent: Schema = document["components"]["schemas"]
        (_, self.read) = msgspec.json.schema_components([shape])

    def fits(self, sent: Schema, read: Schema) -> bool:
        """Whether every value of the schema `sent` is read by the schema `read`."""
        if "$ref" in sent and "$ref" in read and _name(read) in NAMES:
            return _name(sent) in NAMES[_name(read)]
        sent, read = _resolved(sent, self.sent), _resolved(read, self.read)
        several = sent.get("oneOf") or sent.get("anyOf")
        if several:
            return all(self.fits(one, read) for one in several)
        if isinstance(sent.get("type"), list):
            return all(self.fits({**sent, "type": kind}, read) for kind in sent["type"])
        if "anyOf" in read:
            return any(self.fits(sent, one) for one in read["anyOf"])
        if not read.get("type"):
            return True
        if (sent.get("type"), read["type"]) == ("integer", "number"):
            return True
        if sent.get("type") != read["type"]:
            return False
        if read["type"] == "array":
            return self.fits(sent.get("items", {}), read.get("items", {}))
        return read["type"] != "object" or self._fits_object(sent, read)

    def _fits_object(self, sent: Schema, read: Schema) -> bool:
        given, known = sent.get("properties", {}), read.get("properties")
        if known is None:
            values = read.get("additionalProperties", {})
            of_sent = [*given.values(), *filter(None, [sent.get("additionalProperties")])]
            return not isinstance(values, dict) or all(self.fits(one, values) for one in of_sent)
        wanted = set(read.get("required", ())) <= set(sent.get("required", ()))
        return wanted and all(name in given and self.fits(given[name], kind) for name, kind in known.items())


def _name(schema: Schema) -> str:
    return str(schema["$ref"].rsplit("/", 1)[-1])


def _resolved(schema: Schema, among: Schema) -> Schema:
    return among[_name(schema)] if "$ref" in schema else schema


@pytest.mark.parametrize("shape", [one for one in STRUCTS if one.__name__ not in UNDESCRIBED], ids=lambda one: one.__name__)
def test_each_field_the_page_reads_is_in_the_services_document(document: Schema, shape: type[msgspec.Struct]) -> None:
    contract, read = Contract(document, shape), msgspec.json.schema_components([shape])[1][shape.__name__]
    sent: Schema = {}
    for name in NAMES.get(shape.__name__, (shape.__name__,)):
        always = set(contract.sent[name]["required"])
        assert set(read["required"]) <= always, f"{name} does not always have {set(read['required']) - always}"
        sent |= contract.sent[name]["properties"]
    assert set(read["properties"]) <= set(sent)
    assert [field for field, kind in read["properties"].items() if not contract.fits(sent[field], kind)] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"score": {"type": "string"}},
        {"start": {"type": "number"}},
        {"text": {"type": ["string", "null"]}},
        {"passage": {"$ref": "#/components/schemas/Reply"}},
        {"page": {"oneOf": [{"type": "string"}, {"type": "null"}]}},
    ],
)
def test_a_field_of_another_type_is_seen(document: Schema, changed: Schema) -> None:
    contract = Contract(document, schemas.Answer)
    ((field, kind),) = changed.items()
    assert contract.fits(contract.sent["Answer"]["properties"][field], contract.read["Answer"]["properties"][field])
    assert not contract.fits(kind, contract.read["Answer"]["properties"][field])
