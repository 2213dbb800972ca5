"""Protocols and services by name, as OpenBSD's own /etc/protocols and /etc/services have them.

ipsecctl(8) reads and prints them by these names. What a gateway has added to its files is not here: a name that we do
not know is refused or left unread, never guessed.
"""

PROTOCOLS = {
    "ip": 0, "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17, "dccp": 33, "ipv6": 41,
    "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "skip": 57, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
    "eigrp": 88, "ospf": 89, "ipip": 94, "etherip": 97, "encap": 98, "pim": 103, "ipcomp": 108, "carp": 112,
    "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "udplite": 136, "mpls-in-ip": 137, "pfsync": 240,
    "ICMP": 1, "IGMP": 2, "IP-ENCAP": 4, "TCP": 6, "UDP": 17, "IPV6": 41, "GRE": 47, "ESP": 50, "AH": 51,
    "IPV6-ICMP": 58, "icmp6": 58, "ipv6icmp": 58, "OSPFIGP": 89, "ETHERIP": 97, "PIM": 103, "IPCOMP": 108,
    "CARP": 112, "SCTP": 132, "PFSYNC": 240,
}  # fmt: skip
"""Number by name or alias; the names that are printed come first."""

SERVICES = {
    "tcpmux": 1, "echo": 7, "discard": 9, "systat": 11, "daytime": 13, "netstat": 15, "qotd": 17, "msp": 18,
    "chargen": 19, "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37, "rlp": 39,
    "nameserver": 42, "whois": 43, "tacacs": 49, "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "gopher": 70,
    "finger": 79, "www": 80, "link": 87, "kerberos": 88, "iso-tsap": 102, "x400": 103, "pop3pw": 106, "pop3": 110,
    "sunrpc": 111, "auth": 113, "sftp": 115, "nntp": 119, "ntp": 123, "epmap": 135, "netbios-ns": 137,
    "netbios-dgm": 138, "netbios-ssn": 139, "imap": 143, "snmp": 161, "snmp-trap": 162, "xdmcp": 177, "bgp": 179,
    "irc": 194, "smux": 199, "z3950": 210, "ipx": 213, "rpki-rtr": 323, "ldap": 389, "svrloc": 427, "https": 443,
    "snpp": 444, "microsoft-ds": 445, "kpasswd": 464, "submissions": 465, "photuris": 468, "isakmp": 500, "exec": 512,
    "biff": 512, "login": 513, "who": 513, "shell": 514, "syslog": 514, "printer": 515, "talk": 517, "ntalk": 518,
    "route": 520, "efs": 521, "timed": 525, "courier": 530, "netnews": 532, "netwall": 533, "uucp": 540, "klogin": 543,
    "kshell": 544, "ekshell": 545, "dhcpv6-client": 546, "dhcpv6-server": 547, "afpovertcp": 548, "rtsp": 554,
    "remotefs": 556, "submission": 587, "asf-rmcp": 623, "ipp": 631, "ldaps": 636, "ldp": 646, "agentx": 705,
    "silc": 706, "kerberos-adm": 749, "kerberos-iv": 750, "kerberos_master": 751, "krb_prop": 754, "krbupdate": 760,
    "domain-s": 853, "rsync": 873, "imaps": 993, "pop3s": 995, "socks": 1080, "kpop": 1109, "openvpn": 1194,
    "ms-sql-s": 1433, "ms-sql-m": 1434, "ingreslock": 1524, "datametrics": 1645, "sa-msg-port": 1646, "l2tp": 1701,
    "pptp": 1723, "radius": 1812, "radacct": 1813, "ssdp": 1900, "nfsd": 2049, "eklogin": 2105, "cvspserver": 2401,
    "zebrasrv": 2600, "zebra": 2601, "ripd": 2602, "ripng": 2603, "ospfd": 2604, "bgpd": 2605, "ospf6d": 2606,
    "webster": 2627, "conserver": 3109, "iscsi": 3260, "mysql": 3306, "rdp": 3389, "iapp": 3517, "daap": 3689,
    "svn": 3690, "bfd-control": 3784, "bfd-echo": 3785, "sieve": 4190, "krb524": 4444, "ipsec-nat-t": 4500,
    "hylafax": 4559, "gre-in-udp": 4754, "gre-udp-dtls": 4755, "vxlan": 4789, "rfe": 5002, "sip": 5060,
    "xmpp-client": 5222, "xmpp-server": 5269, "xmpp-bosh": 5280, "presence": 5298, "mdns": 5353, "mdnsresponder": 5354,
    "postgresql": 5432, "matter": 5540, "canna": 5680, "rfb": 5900, "syslog-tls": 6514, "sane-port": 6566,
    "icb": 7326, "spamd": 8025, "spamd-sync": 8025, "spamd-cfg": 8026, "dhcpd-sync": 8067, "puppet": 8140,
    "ub-dns-control": 8953, "git": 9418, "zabbix-agent": 10050, "zabbix-trapper": 10051, "hunt": 26740,
    "mail": 25, "http": 80, "kerberos-sec": 88, "portmapper": 111, "imap2": 143, "nfs": 2049,
    "ms-wbt-server": 3389,
}  # fmt: skip
"""Number by name or alias, TCP's before UDP's; the names that are printed come first."""
