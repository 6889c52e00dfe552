"""Which helpdesks there are, by the name that ``type`` has in a connector's table; each is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.connectors.helpdesk import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.connectors.helpdesk import Helpdesk

# Module and class by type.
_CLASSES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "django-helpdesk": ("django_helpdesk", "DjangoHelpdesk"),
        "freshdesk": ("freshdesk", "FreshdeskHelpdesk"),
        "generic": ("generic", "GenericHelpdesk"),
        "hubspot": ("hubspot", "HubSpotHelpdesk"),
        "intercom": ("intercom", "IntercomHelpdesk"),
        "jira": ("jira", "JiraHelpdesk"),
        "request-tracker": ("request_tracker", "RequestTrackerHelpdesk"),
        "zammad": ("zammad", "ZammadHelpdesk"),
        "zendesk": ("zendesk", "ZendeskHelpdesk"),
    }
)
TYPES: Final = tuple(_CLASSES)


def helpdesk_class(kind: str) -> type[Helpdesk]:
    """Return the class of a type; raise ``OptionError`` for one that is not known."""
    if kind not in _CLASSES:
        raise OptionError(f'type "{kind}" is none of {", ".join(sorted(TYPES))}')
    module, name = _CLASSES[kind]
    found: type[Helpdesk] = getattr(import_module(f"app.connectors.helpdesks.{module}"), name)
    return found
