"""One file a helpdesk: what is its own, behind the interface of ``app.connectors.helpdesk``."""
