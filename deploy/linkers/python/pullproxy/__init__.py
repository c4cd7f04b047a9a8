"""An application in Python that pulls its requests from pullproxy's nodes. Standard library only."""

from .instance import Instance
from .serve import serve

__all__ = ["Instance", "serve"]
