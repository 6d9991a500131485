"""The page: a web server through which people and programs look at a corpus and search it.

``lookalike serve`` starts it. It only reads the corpus. Requests and answers are described by ``/api/v1/openapi.json``;
the how-to guide "Serve a page" has examples.
"""

from pipeline.web.access import Person, add_person
from pipeline.web.app import make_app
from pipeline.web.parts import Parts, parts_of
from pipeline.web.server import Listening, serve
from pipeline.web.settings import ServeSettings

__all__ = ["Listening", "Parts", "Person", "ServeSettings", "add_person", "make_app", "parts_of", "serve"]
