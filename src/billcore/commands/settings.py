"""Site settings, stored with the books."""

import json
from collections.abc import Mapping
from typing import Unpack

from billcore.commands.parameters import Code, Options, Text
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.settings import Settings
from billcore.store import journal


class SiteSettings(Noun):
    """Site settings, stored with the books."""

    noun = "settings"

    @verb(site=True)
    def set(self, scope: Scope, name: Code, value: Text, **options: Unpack[Options]) -> dict[str, object]:
        """Set one site setting. `value` is its text, or JSON for settings with parts; see the settings reference.

        Raises invalid_value for an unknown name or a value that it does not take, plugin_unknown and not_supported
        for a tax engine that cannot be used.
        """
        changed = Settings.from_mapping({name: _read(value)}, scope.settings)
        if name in ("tax_engine", "tax_fallback"):
            scope.taxes(changed, scope.catalog.rates)
        journal.save_settings(scope.tx, changed.to_mapping())
        scope.site_changed = True
        return changed.to_mapping()

    @verb(reads=True)
    def list(self, scope: Scope) -> dict[str, object]:
        """All site settings with their values."""
        return scope.settings.to_mapping()


def _read(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    if text[:1] in "{[":
        try:
            made: object = json.loads(text)
        except ValueError:
            return text
        return dict(made) if isinstance(made, Mapping) else made
    return text
