"""Where certificates were before they became a package; ``app.remote.ssh.authority`` has them."""

from app.remote.ssh.authority.certificate import Certificate
from app.remote.ssh.authority.holder import CertificateHolder, TokenSource, holder_of
from app.remote.ssh.authority.offer import Offer

__all__ = ["Certificate", "CertificateHolder", "Offer", "TokenSource", "holder_of"]
