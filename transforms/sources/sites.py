"""What may be said of a file's site: by `--site`, `--input PATH=SITE`, or an archive's own name."""

from __future__ import annotations

import re
from enum import Enum

from transforms.sources.mapping import SITE

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})+")


class SiteRule(Enum):
    """Whether a format's files name their site themselves. A site stands in ids."""

    IN_ROWS = "none may be given"
    NAME = "any name, or none"
    HOST = "a host is needed"  # it stands in addresses as well

    def check(self, site: str | None, file: str) -> None:
        """Raises ValueError for a site that files of this kind cannot have. file: for the message."""
        if self is SiteRule.IN_ROWS and site is not None:
            raise ValueError(
                f"--site {site!r} for {file}: its rows name their site themselves; leave it out, or give the input "
                "that it is the site of as --input PATH=SITE"
            )
        if self is SiteRule.NAME and site is not None and not SITE.fullmatch(site):
            raise ValueError(f"--site {site!r} for {file}: want letters, digits, '.', '_' and '-' only")
        if self is SiteRule.HOST and site is None:
            raise ValueError(
                f"{file} does not name its site; give the host of its forum: --site forum.example.com, or with several "
                "inputs --input PATH=forum.example.com (in a build file its input's site: forum.example.com)"
            )
        if self is SiteRule.HOST and site is not None and not _HOST.fullmatch(site):
            raise ValueError(
                f"the --site of {file} (in a build file its input's site) is {site!r}; want its host: letters, digits "
                "and hyphens with dots between them, such as forum.example.com, without https:// and path; one beyond "
                "ASCII as its DNS name (xn--…)"
            )
