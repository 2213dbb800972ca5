"""See, name, tear down, bring up and prove single IPsec tunnels on a fleet of OpenBSD isakmpd gateways."""

__version__ = "0.1.0"
