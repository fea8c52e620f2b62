"""What stands on a PDF page besides its content: the values of form fields, typed text, and comments.

Values of form fields are pieces at their place on the page, so that they follow the label printed there. Text typed on the
page and comments follow the page's text. Hidden annotations, passwords, buttons and links are left out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from indexing.files.pdf_pieces import ANNOTATION, LINE_END, Box, Piece, box_of

_TYPED = {
    pdfium.FPDF_ANNOT_FREETEXT,
    pdfium.FPDF_ANNOT_TEXT,
    pdfium.FPDF_ANNOT_HIGHLIGHT,
    pdfium.FPDF_ANNOT_UNDERLINE,
    pdfium.FPDF_ANNOT_SQUIGGLY,
    pdfium.FPDF_ANNOT_STRIKEOUT,
    pdfium.FPDF_ANNOT_STAMP,
    pdfium.FPDF_ANNOT_CARET,
    pdfium.FPDF_ANNOT_INK,
    pdfium.FPDF_ANNOT_LINE,
    pdfium.FPDF_ANNOT_SQUARE,
    pdfium.FPDF_ANNOT_CIRCLE,
    pdfium.FPDF_ANNOT_POLYGON,
    pdfium.FPDF_ANNOT_POLYLINE,
}
_UNSEEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD = 1 << 13
_TEXT_HEIGHT = 14.0
_MOST = 20_000
# Names of the "on" state that say no more than that a box is ticked.
_PLAIN_ON = frozenset({"on", "yes", "1", "true", "x", "checked", "y"})


def annotation_pieces(page: Any) -> tuple[list[Piece], list[Piece]]:
    """(form values, other texts) of a `pypdfium2.PdfPage`. A piece's indices are `ANNOTATION` - n for annotation n."""
    values: list[Piece] = []
    typed: list[Piece] = []
    for number in range(min(_MOST, pdfium.FPDFPage_GetAnnotCount(page))):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        if not annotation:
            continue
        try:
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            if pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
                continue
            if kind == pdfium.FPDF_ANNOT_WIDGET:
                values += _piece(annotation, _field_value(form_environment(page.pdf), annotation), number)
            elif kind in _TYPED:
                typed += _piece(annotation, _string(annotation, b"Contents"), number)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return values, typed


def annotation_box(page: Any, origin: int) -> Box:
    """(left, bottom, right, top) in points of the annotation that an index below -1 stands for."""
    annotation = pdfium.FPDFPage_GetAnnot(page, ANNOTATION - origin)
    if not annotation:
        return (0.0, 0.0, 0.0, 0.0)
    try:
        return _rectangle(annotation)
    finally:
        pdfium.FPDFPage_CloseAnnot(annotation)


def is_xfa(document: Any) -> bool:
    """Whether the document's form is an XFA form, whose pages a PDF reader cannot show."""
    return document.get_formtype() in (pdfium.FORMTYPE_XFA_FULL, pdfium.FORMTYPE_XFA_FOREGROUND)


def form_environment(document: Any) -> Any:
    """The document's form environment, made when first needed; None without forms.

    Pages opened later can draw the values.
    """
    if document.formenv is None and document.get_formtype() != pdfium.FORMTYPE_NONE:
        config = pdfium.FPDF_FORMFILLINFO(version=2)
        raw = pdfium.FPDFDOC_InitFormFillEnvironment(document, config)
        if raw:
            document.formenv = pypdfium2.PdfFormEnv(raw, config)
    return document.formenv


def _piece(annotation: Any, text: str, number: int) -> Iterator[Piece]:
    """The text of an annotation as a piece on a baseline inside its rectangle."""
    letters = [letter for letter in " ".join(text.split()) if ord(letter) >= 32]
    if not letters:
        return
    left, bottom, right, top = _rectangle(annotation)
    size = min(top - bottom, _TEXT_HEIGHT)
    baseline = bottom + (top - bottom - size) / 2 + 0.25 * size
    yield Piece(letters, [ANNOTATION - number] * len(letters), LINE_END, left, right, baseline, size)


def _rectangle(annotation: Any) -> Box:
    box = pdfium.FS_RECTF()
    pdfium.FPDFAnnot_GetRect(annotation, ctypes.byref(box))
    return box_of(box)


# -- form fields -------------------------------------------------------------------------------------------------------


def _field_value(forms: Any, annotation: Any) -> str:
    """The value of a form field as a person reads it; "" for buttons, passwords and empty fields."""
    if not forms:
        return _string(annotation, b"V")
    kind = pdfium.FPDFAnnot_GetFormFieldType(forms, annotation)
    if kind in (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON):
        return _ticked(forms, annotation)
    if kind in (pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX):
        return ", ".join(_chosen(forms, annotation)) or _value(forms, annotation)
    if kind == pdfium.FPDF_FORMFIELD_TEXTFIELD:
        secret = pdfium.FPDFAnnot_GetFormFieldFlags(forms, annotation) & _PASSWORD
        return "" if secret else _value(forms, annotation)
    return ""


def _ticked(forms: Any, annotation: Any) -> str:
    """ "yes", or the name of the state of a ticked box; "" for an empty box."""
    state = _string(annotation, b"AS")
    if not pdfium.FPDFAnnot_IsChecked(forms, annotation) and state in ("", "Off"):
        return ""
    name = _read(partial(pdfium.FPDFAnnot_GetFormFieldExportValue, forms, annotation))
    return "yes" if (name or state).strip().lower() in _PLAIN_ON else name or state


def _chosen(forms: Any, annotation: Any) -> Iterator[str]:
    """The labels of the chosen options of a list."""
    for at in range(min(_MOST, max(0, pdfium.FPDFAnnot_GetOptionCount(forms, annotation)))):
        if pdfium.FPDFAnnot_IsOptionSelected(forms, annotation, at):
            yield _read(partial(pdfium.FPDFAnnot_GetOptionLabel, forms, annotation, at))


def _value(forms: Any, annotation: Any) -> str:
    return _read(partial(pdfium.FPDFAnnot_GetFormFieldValue, forms, annotation))


def _string(annotation: Any, key: bytes) -> str:
    return _read(partial(pdfium.FPDFAnnot_GetStringValue, annotation, key))


def _read(call: Callable[[Any, int], int]) -> str:
    """A text that pdfium writes into a buffer as UTF-16 with a NUL at its end."""
    size = call(None, 0)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2))()
    call(buffer, size)
    return bytes(buffer)[: size - 2].decode("utf-16-le", "replace")
