import re

from ipsecfleet.isakmpd import visit
from ipsecfleet.isakmpd.install import HELP, install_help


def test_every_line_is_for_all_gateways_and_none_is_a_fault() -> None:
    said = install_help()
    assert f"ipsecfleet {said.command} --install-help" == HELP
    assert {(f.gateway, f.severity, f.hint) for f in said.findings or ()} == {(None, "info", "")}


def test_it_names_the_file_its_hash_where_it_goes_and_the_rule() -> None:
    texts = [f.text for f in install_help().findings or ()]
    assert texts[:2] == [str(visit.source()), visit.digest()]
    assert re.fullmatch("[0-9a-f]{64}", texts[1])
    assert "install -o root -g wheel -m 0555 ipsecfleet-visit /usr/local/libexec/ipsecfleet-visit" in texts
    assert visit.doas_rule("restricted", "USER") in texts
