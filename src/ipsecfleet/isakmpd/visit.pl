#!/usr/bin/perl -T
#
# The visit program: all that ipsecfleet does on one gateway, once, as root.
#
# It is fed to `perl -T -` on standard input, or installed root-owned as
# /usr/local/libexec/ipsecfleet-visit, and then takes no paths from its input.
# A request follows; the answer is sections, framed by the caller's nonce and
# their length in bytes, and a last line that counts them:
#
#     ipsecfleet 1 NONCE           ipsecfleet 1 NONCE
#     run /var/run                 NONCE flows failed 31
#     etc /etc                     exit 1: ipsecctl: No such file
#     bin                          NONCE lock ok 0
#     who RUN USER@HOST            (empty line)
#     deadline 20                  NONCE write ok 2
#     (empty line)                 45
#     flows                        NONCE unlock ok 0
#     lock 60                      (empty line)
#     write 1                      NONCE done 4
#     t quick from-172.16.1.0/24-to-192.168.1.0/24
#     unlock
#     end
#
# Asked with `pack N`, a section that would make the answer longer than N bytes is
# `packed`: gzip makes it shorter, where there is one.
#
# What isakmpd(8) demands of those who talk to it:
#
# - It reads a FIFO and never answers there. A shell's `>` makes a regular file
#   when the daemon is away, and then it cannot start; without a reader, open(2)
#   blocks for ever. So: no O_CREAT, O_NONBLOCK, fstat(2) before the first byte.
#   PIPE_BUF is 512 on OpenBSD: one syswrite of at most that, with its newline.
# - The first byte of a line decides, and T, Q, R, r, D, p, M and d do harm. So
#   lines come from a closed set, and names are made of few characters.
# - `S` and `C get` answer in one file, opened anew by path, truncated in place,
#   without an end mark. The daemon is serial: a new file at the path proves the
#   command before to be finished. Each answer is renamed away; the last is a
#   value that nobody else asks for. A second writer shifts the answers by one,
#   which that value shows: again, three times at most.
# - On SIGUSR1 it writes its whole state into isakmpd.report, all pre-shared keys
#   included. An allow-list picks the lines that leave; the file is removed.
#
# One flock(2) keeps visits apart. The kernel drops it with its holder, whatever
# ends that, so it is never stale; the file says who holds it.
#
# The run lock keeps runs apart that change something. It outlives the visit that
# took it, up to an expiry by the monotonic clock, which no change of the date
# moves; /var/run is emptied at boot, when that clock begins anew. It is the file
# `run`: RUN USER@HOST, since when, until when. It is read, written and relied on
# under the flock alone. So a visit that was stopped in the middle of a change
# keeps everybody out, and one that went on too late finds that it lost the lock.
#
# A change of a conf file is armed before anything of it is done: the file `armed`
# says whose it is and what undoes it, and a watcher of its own session outlives
# the visit, sshd and the caller. One rename(2) decides: `confirm` moves the new
# file to its place, the watcher moves the same file away, so one of them wins. Of
# an added or removed file that is ipsec.conf.new, which includes it or does not.
# Who boots before the confirmation loads the old text. What was there before stays
# in /etc/ipsecfleet/RUN/KIND/NAME, for whoever wants to go back.
#
# Of the daemon's log, too, an allow-list picks the lines that leave, and of them those
# about the peers and connections that were asked for: some of its notices hold a key,
# such as the echo of a malformed line. A class of its debugging is raised by a process
# that outlives the visit as a watcher does, and puts the level back to what it was.

use v5.36;    # with strict, warnings and signatures
use Fcntl  qw(:DEFAULT :flock S_IMODE);
use POSIX  qw(:errno_h :sys_wait_h _SC_CLK_TCK _exit ceil dup2 mktime setpgid setsid sysconf uname);
use IO::Handle;
use Socket qw(AF_INET AF_INET6 inet_pton);

my $VERSION     = 1;
my $PIPE_BUF    = 512;
my $MOST_OUTPUT = 64 << 20;      # bytes of one answer or one command
my $LINE_CUT    = 199;           # bytes after which isakmpd cuts the lines of its log and state report
my $LONGEST     = 600;           # seconds that a run lock may be held, or a change wait for its confirmation
my $MOST_FILE   = 1 << 20;       # bytes of one conf file
my $RUNS_KEPT   = 10;            # whose old files are kept
my $TAKING_BACK = 120;           # seconds that a rollback takes at most
my $MOST_LOG    = 4 << 20;       # bytes that are read of a log, from its end
my $MOST_TOLD   = 2000;          # lines of it that leave, and ten for each name that is asked for
my $DEBUGGING   = 120;           # seconds that a class of debugging may be raised
my $RESTRICTED  = $0 ne '-';     # installed, not fed
my $TICKS       = sysconf(_SC_CLK_TCK);

my $NAME  = qr{[A-Za-z0-9._:/=%+\@-]{1,200}};
my $ADDR  = qr{[0-9A-Fa-f.:]{2,45}(?:%[A-Za-z0-9]{1,15})?};
my $RUN   = qr{[A-Za-z0-9_][A-Za-z0-9_.\@-]{0,99}};
my $BY    = qr{[A-Za-z0-9_.\@-]{1,200}};
my $HEX   = qr{[0-9a-f]{1,32}};
my $CLONE = qr{\[ipsecfleet-rekey-[0-9a-f]{8}\]};
my $BUILT = qr{Phase|ISAKMP-peer|Configuration|Local-ID|Remote-ID|NAT-ID|PF-Tag|Flags|Interface};
my $KIND  = qr{add|change|remove|include};
my $KEPT  = qr{ipsecfleet/$RUN/$KIND};
my $TERMS = qr{Transforms|EXCHANGE_TYPE|AUTHENTICATION_METHOD|HASH_ALGORITHM|ENCRYPTION_ALGORITHM|KEY_LENGTH
  |GROUP_DESCRIPTION|Life|LIFE_TYPE|LIFE_DURATION|Name}x;
my $UNDO  = qr{C\ rms\ \[phase1-$NAME\]|C\ rm\ \[peer-$NAME\]:(?:ID|Remote-ID|Local-address|Authentication)}x;
my $LINE  = qr{
    (?:t\ quick|t\ main|c)\ $NAME
  | C\ (?:add|rmv)\ (?:\[Phase\ 2\]:|\[ipsecfleet\]:Held-)(?:Passive-)?Connections=$NAME
  | C\ set\ $CLONE:(?:$BUILT)=$NAME\ force
  | C\ rms\ $CLONE
  | $UNDO
}x;
my $PEER_LINE = qr{(?|
    C\ (?:add|rmv)\ \[ipsecfleet\]:Held-Peers=($ADDR)
  | C\ rm\ (?:\[ipsecfleet\]:peer-of-|\[Phase\ 1\]:)($ADDR)
  | C\ set\ (?:\[ipsecfleet\]:peer-of-|\[Phase\ 1\]:)($ADDR)=$NAME\ force
)}x;

# What can stand after a macro of ipsec.conf(5) and is no key: its keywords, and what is no word.
my $OPEN_WORD = qr{
    active|aggressive|ah|any|auth|dstid|dynamic|enc|esp|flow|from|group|ike|interface|ipcomp|lifetime|local|main|passive
  | peer|port|proto|psk|quick|rsa|srcid|tag|to|transport|tunnel|type|in|out|\W
}xa;

my $SIDE    = qr{[0-9A-Fa-f.:]{2,45}(?:/\d{1,3})?(?:\ port\ \d{1,5})?};
my $MATCHED = qr{(?:proto\ \d{1,3}\ )?from\ $SIDE\ to\ $SIDE};

# Notices of the daemon that hold no key. The first say why a message was refused, and the line after them whose it was.
# What is printed of a policy can be freed memory, so it has the shape that a policy has, or the line stays here.
my $IDS    = qr{[A-Za-z0-9 ,.:()<>/_\@=+*-]{1,199}};
my $POLICY = qr{(?:phase[12]-$NAME|Default-phase-\d-configuration|<no\ policy>)\ policy\ [a-z0-9 ]{1,80}};
my %REASON = (
    NO_PROPOSAL_CHOSEN => qr{
        attribute_unacceptable:\ [A-Z_]{1,40}:\ got\ [A-Za-z0-9_-]{1,40},\ {1,2}expected\ [A-Za-z0-9_,:-]{1,80}
      | attribute_unacceptable:\ attr\ [A-Z_]{1,40}\ does\ not\ exist\ in\ $NAME
      | message_negotiate_sa:\ no\ compatible\ proposal\ found
      | responder_recv_HASH_SA_NONCE:\ KEY_EXCH\ payload\ without\ a\ group\ desc\.\ attribute
      | check_policy:\ negotiated\ SA\ failed\ policy\ check
    }x,
    INVALID_ID_INFORMATION   => qr{responder_recv_HASH_SA_NONCE: peer proposed invalid phase 2 IDs: initiator id $IDS},
    INVALID_COOKIE           => qr{message_recv: invalid cookie\(s\) [0-9a-f]{16} [0-9a-f]{16}},
    INVALID_HASH_INFORMATION => qr{message_validate_hash: invalid hash information},
);
$REASON{$_} = qr{
    message_parse_payloads:\ (?:reserved\ field\ non-zero:\ [0-9a-f]{1,2}|short\ message|payload\ too\ (?:short|long):\ \d{1,9}
        |invalid\ next\ payload\ type\ \S{1,40}\ in\ payload\ of\ type\ \d{1,9}|payload\ type\ \S{1,40}\ unexpected)
  | message_recv:\ invalid\ payload\ type\ \d{1,9}\ in\ ISAKMP\ header[A-Za-z0-9 (),]{0,80}
}x for qw(PAYLOAD_MALFORMED INVALID_PAYLOAD_TYPE UNEQUAL_PAYLOAD_LENGTHS);
my $NOTICE = qr{
    dropped\ message\ from\ (?<of>$ADDR)\ port\ \d{1,5}\ due\ to\ notification\ type\ (?<type>[A-Z_]{1,40})
  | transport_send_messages:\ giving\ up\ on\ exchange\ (?:$NAME|<unnamed>),\ no\ response\ from\ peer\ (?<of>$ADDR):\d{1,5}
  | isakmpd:\ (?:phase\ 1|quick\ mode)\ done(?:\ \(as\ responder\))?:\ (?:$IDS,\ )?src:\ $ADDR\ dst:\ (?<of>$ADDR)
  | isakmpd:\ Peer\ (?<of>$ADDR)\ made\ us\ delete\ live\ SA\ (?:$NAME|<unnamed>)\ for\ proto\ \d{1,3}(?:,\ $IDS)?
  | exchange_establish:\ peer\ "(?<of>$NAME)"\ does\ not\ have\ a\ correct\ phase\ \(\d\)
  | exchange_establish:\ No\ ISAKMP-peer\ given\ for\ "(?<of>$NAME)"
  | exchange_establish:\ transport\ "udp"\ for\ peer\ "(?<of>$NAME)"\ could\ not\ be\ created
  | connection_record_passive:\ "[A-Za-z-]{1,20}"\ is\ missing\ from\ section\ \[(?<of>$NAME)\]
  | connection_init:\ could\ not\ record\ connection\ "(?<of>$NAME)"
  | ike_auth_get_key:\ no\ key\ found\ for\ peer\ "(?<of>$NAME)"\ or\ local\ ID\ "[A-Za-z0-9.:/\@()_-]{0,120}"
  | exchange_(?:establish|setup|finalize|run)\w{0,20}:\ (?<of>$NAME)\ exchange\ already\ exists\ as\ 0x$HEX
  | exchange_(?:establish|setup|finalize|run)\w{0,20}:\ 0x$HEX\ (?<of>$NAME)\ $POLICY
}x;
my $NOBODYS = qr{
    ike_phase_1_recv_ID:\ received\ remote\ ID\ other\ than\ expected\ [A-Za-z0-9.:/\@_=+,*-]{1,150}\z
  | ike_auth_get_key:\ invalid\ hex\ key(?=\ )
  | isakmpd:\ (?:starting|shutting\ down\.\.\.|exit|reinitializing\ daemon)\z
  | SIGHUP\ received\z
  | log_debug_cmd:\ log\ level\ (?:changed\ from\ \d{1,3}\ to\ \d{1,3}|unchanged)\ for\ class\ \d{1,2}\z
  | exchange_(?:establish|setup|finalize|run)\w{0,20}:\ 0x$HEX\ <unnamed>\ $POLICY\z
  | ipsec_responder:\ got\ NOTIFY\ of\ type\ [A-Z_]{1,40}\z
}x;
my $STAMP = qr{([A-Z][a-z]{2})\ {1,2}(\d{1,2})\ (\d\d):(\d\d):(\d\d)\ \S+\ };
my %MONTH = do { my $n = 0; map { $_ => $n++ } qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec) };

# Up to which level a class of debugging holds no key; Cryp (3) and Plcy (9) are about nothing else.
my %MOST_LEVEL = (0 => 40, 1 => 60, 2 => 60, 4 => 60, 5 => 60, 6 => 60, 7 => 60, 8 => 60, 10 => 20);

my @SHIFTED = (shifted => 'somebody else asked the daemon at the same time, three times');
my @ASKED   = (    # the sections of a report, and what the daemon is asked for them
    [report         => 'S'],
    [connections    => 'C get [Phase 2]:Connections'],
    [passive        => 'C get [Phase 2]:Passive-Connections'],
    [held           => 'C get [ipsecfleet]:Held-Connections'],
    ['held-passive' => 'C get [ipsecfleet]:Held-Passive-Connections'],
    ['held-peers'   => 'C get [ipsecfleet]:Held-Peers'],
);

my %place = (run => '/var/run', etc => '/etc', bin => '', log => '/var/log');
my ($nonce, $who, $hash_key, $sections, $fences, $said, $pack) = ('', '', '', 0, 0, 0, 'inf');
my ($end, $patience, $home, $result, $last_report);

my %DO = (
    host         => sub ($) { section(host => \&host); section(carp => \&carp) },
    report       => sub ($) { section(report => \&report) },
    exchanges    => sub ($) { section(exchanges => \&exchanges) },
    'exchanges?' => sub ($) { section(exchanges => \&exchanges_if_half_up) },
    flows        => sub ($) { section(flows => sub { ipsecctl(qw(-s flow)) }) },
    sad          => sub ($) { section(sad => sub { keyless(ipsecctl(qw(-v -s sa))) }) },
    files        => sub ($) { section(files => \&files) },
    conf         => sub ($verb) { section(conf => sub { conf($verb->{file}) }) },
    stored       => sub ($verb) {
        section(stored => sub { stored($verb->{file}) }) and section(meaning => sub { meaning($verb->{file}) });
    },
    try          => sub ($verb) { section(meaning => sub { with_file($verb->{bytes}, \&meaning) }) },
    armed        => sub ($) { section(armed => \&told_armed) },
    log          => sub ($verb) { section(log => sub { notices($verb->{seconds}, $verb->{words}->@*) }) },
    debug        => sub ($verb) { section(debug => sub { debug(@$verb{qw(class level seconds)}) }) },
    kept         => sub ($verb) { section(kept => sub { join '', map { "$_\n" } kept($verb->{run}) }) },
    put          => sub ($verb) { section(put => sub { put_new(@$verb{qw(file bytes)}) }) },
    restore      => sub ($verb) { section(restore => sub { restore(@$verb{qw(run file)}) }) },
    arm          => sub ($verb) { section(arm => sub { arm($verb) }) },
    confirm      => sub ($verb) { section(confirm => sub { confirm($verb->{file}) }) },
    rollback     => sub ($verb) { section(rollback => sub { roll_back($verb->{file}) }) },
    lock         => sub ($verb) { section(lock => sub { lock_run($verb->{seconds}, $verb->{take}) }) },
    unlock       => sub ($) { section(unlock => \&unlock_run) },
    write        => sub ($verb) { section(write => sub { send_lines($verb->{lines}->@*) }) },
    load         => sub ($verb) { section(load => sub { load_file($verb, '-f') }) },
    unload       => sub ($verb) { section(unload => sub { load_file($verb, '-d', '-f') }) },
    deny         => sub ($verb) { section(deny => sub { load($verb->{flow}, '-f', '-') }) },
    open         => sub ($verb) { section(open => sub { load($verb->{flow}, '-d', '-f', '-') }) },
);

sub main () {
    ($nonce) = (line() // '') =~ /^ipsecfleet 1 ([0-9A-Fa-f]{16,32})\z/ or stop('not a request of version 1');
    out("ipsecfleet 1 $nonce\n");
    my @verbs = eval { request() };
    $@ ? answer('request', fate($@)) : visit(@verbs);
    out("$nonce done $sections\n");
}

# --- the request, read and understood to its end before anything is done ------

sub line () {
    my $line = readline STDIN;
    return defined $line && length $line < 4096 && $line =~ s/\n\z// ? $line : undef;
}

sub request () {
    my %given = (deadline => 20, who => '');
    while (length(my $line = line() // malformed('its head is cut off'))) {
        my ($key, $value) = $line =~ /^(run|etc|bin|log|who|key|pack|deadline)(?: (.*))?\z/ or malformed('a key is unknown');
        $given{$key} = $value // '';
    }
    my ($limit) = $given{deadline} =~ /^(\d{1,4}(?:\.\d{1,3})?)\z/ or malformed('the deadline is not in seconds');
    ($who) = $given{who} =~ /^($RUN $BY)\z/ or malformed('who is not two words')
      if length $given{who};
    ($hash_key) = ($given{key} // '') =~ /^($HEX|)\z/ or malformed('the key is not in hexadecimal');
    ($pack) = ($given{pack} // 'inf') =~ /^(\d{1,9}|inf)\z/ or malformed('pack is not a number of bytes');
    settle($_, $given{$_}) for grep { length($given{$_} // '') } keys %place;
    ($home, $result) = ("$place{run}/ipsecfleet", "$place{run}/isakmpd.result");
    %ENV = (PATH => join(':', $place{bin} || (), qw(/bin /sbin /usr/bin /usr/sbin)), LC_ALL => 'C');
    $end      = now() + $limit;
    $patience = $end - ($limit < 10 ? $limit / 5 : 2);    # with the daemon; the rest is for what needs none
    alarm ceil($limit) + 2;    # should a system call block all the same
    return verbs();
}

sub settle ($which, $given) {
    my $path = path($given);
    malformed('an installed visit program takes no paths') if $RESTRICTED && $path ne $place{$which};
    $place{$which} = $path;
}

sub path ($text) {
    my ($path) = $text =~ m{^(/[A-Za-z0-9._/-]{0,250})\z} or malformed('a path is not absolute and plain');
    malformed('a path goes upwards') if $path =~ m{/\.\.(?:/|\z)};
    return $path;
}

sub verbs () {
    my @verbs;
    while ((my $line = line() // malformed('it has no end')) ne 'end') {
        push @verbs, verb($line);
    }
    return @verbs;
}

sub verb ($line) {
    return { name => $1 } if $line =~ /^(host|report|exchanges\??|flows|sad|files|armed|unlock)\z/;
    return { name => $1, file => conf_file($2) } if $line =~ /^(conf) (\S+)\z/;
    return { name => $1, file => conf_file($2), of => defined $3 ? own_file($3) : '', changes => 1 }
      if $line =~ /^(load|unload) (\S+)(?: of (\S+))?\z/;
    return { name => $1, file => own_file($2, $KEPT) } if $line =~ /^(stored) (\S+)\z/;
    return { name => $1, file => own_file($2), changes => 1 } if $line =~ /^(confirm|rollback) (\S+)\z/;
    return { name => $1, bytes => content($2) } if $line =~ /^(try) (\d{1,7})\z/;
    return { name => $1, file => own_file($2), bytes => content($3), changes => 1 } if $line =~ /^(put) (\S+) (\d{1,7})\z/;
    return { name => $1, run => $2 } if $line =~ /^(kept) ($RUN)\z/;
    return { name => $1, run => $2, file => own_file($3), changes => 1 } if $line =~ /^(restore) ($RUN) (\S+)\z/;
    return arm_verb($1, $2, $3, $4, $5) if $line =~ /^arm ($KIND) (\S+) (\d{1,3}\.\d\d) (\d{1,3}\.\d\d) (\d)\z/;
    return flow_verb($1, $2) if $line =~ /^(deny|open) ($MATCHED)\z/;
    return lock_verb($1, $2) if $line =~ /^lock ([1-9]\d{0,2})( take)?\z/;
    return log_verb($1, $2) if $line =~ /^log ([1-9]\d{0,6}) (\d{1,4})\z/;
    return debug_verb($1, $2, $3) if $line =~ /^debug (\d{1,2}) ([1-9]\d?) ([1-9]\d{0,2})\z/;
    my ($n)   = $line =~ /^write ([1-9]\d?)\z/ or malformed('a verb is unknown');
    my @lines = map { fifo_line(line() // malformed('a write is cut off')) } 1 .. $n;
    my $bytes = length join "\n", @lines, '';
    return { name => 'write', lines => \@lines, changes => 1, bad => $bytes > $PIPE_BUF || !!grep { !length } @lines };
}

sub lock_verb ($seconds, $take) {
    malformed("a lock is for $LONGEST s at most") if $seconds > $LONGEST;
    malformed('a lock does not say who')          if $who eq '';
    return { name => 'lock', seconds => $seconds, take => $take, changes => 1 };
}

sub log_verb ($seconds, $n) {
    my @words = map { (line() // '') =~ m{^($NAME)\z} ? $1 : malformed('a word for the log is none') } 1 .. $n;
    return { name => 'log', seconds => $seconds, words => \@words };
}

sub debug_verb ($class, $level, $seconds) {
    malformed("debugging is for $DEBUGGING s at most")       if $seconds > $DEBUGGING;
    malformed('debugging does not say who')                  if $who eq '';
    malformed("level $level of class $class may print keys") if $level > ($MOST_LEVEL{$class} // 0);
    return { name => 'debug', class => $class, level => $level, seconds => $seconds };
}

sub flow_verb ($name, $matched) {
    is_address($_) or malformed('a flow has no addresses') for $matched =~ /\b(?:from|to) ([^ \/]+)/g;
    return { name => $name, flow => "flow esp $matched type deny", changes => 1 };
}

sub arm_verb ($kind, $file, $seconds, $delay, $n) {
    malformed("a confirmation is waited for $LONGEST s at most") if $seconds > $LONGEST;
    malformed('a change does not say whose it is')                if $who eq '';
    my @undo = map { fifo_line(line() // malformed('an arm is cut off')) } 1 .. $n;
    my $bad  = !!grep { !/^(?:$UNDO|C rm \[Phase 1\]:$ADDR)\z/ } @undo;
    return { name => 'arm', kind => $kind, file => own_file($file), seconds => $seconds, delay => $delay, undo => \@undo, changes => 1, bad => $bad };
}

sub content ($bytes) {
    malformed('a file is over the limit') if $bytes > $MOST_FILE;
    my $got = read STDIN, my $text, $bytes + 1;
    malformed('a file is cut off') unless defined $got && $got == $bytes + 1 && $text =~ s/\n\z//;
    return $text;
}

sub conf_file ($text) {
    my $path = path($text);
    malformed('an installed visit program takes files below /etc only') if $RESTRICTED && $path !~ m{^/etc/};
    return $path;
}

# A conf file that may be shown and changed. Who may only run the installed program shows and changes no other.
sub own_file ($text, $kept = qr{(?!)}) {
    my $path = conf_file($text);
    malformed('an installed visit program takes conf files in /etc/IPsec only')
      if $RESTRICTED && $path !~ m{^/etc/(?:IPsec|$kept)/[A-Za-z0-9_][A-Za-z0-9._-]*\.conf\z};
    return $path;
}

# The line as we may send it, or nothing.
sub fifo_line ($line) {
    return $1 if $line =~ /^($LINE)\z/;
    return $1 if $line =~ /^($PEER_LINE)\z/ && is_address($2);
    return '';
}

sub is_address ($text) {
    my ($v6) = $text =~ /^([^%]*:[^%]*)/;
    return defined(defined $v6 ? inet_pton(AF_INET6, $v6) : inet_pton(AF_INET, $text));
}

sub malformed ($why) { fail(invalid => "malformed request: $why") }

# --- the answer ----------------------------------------------------------------

sub visit (@verbs) {
    my $halted = grep { $_->{bad} } @verbs;
    for my $verb (@verbs) {
        if ($verb->{bad}) {
            answer($verb->{name}, 'invalid', 'not lines of ours, or too many; nothing was sent');
        }
        elsif ($verb->{changes} && $halted) {
            answer($verb->{name}, 'skipped', 'another part of this visit did not go well');
        }
        else {
            my $ok = $DO{ $verb->{name} }->($verb);
            $halted ||= $verb->{changes} && !$ok;
        }
    }
}

# One section with what $code returns, or several if that is names and bodies; or one that says what went wrong.
sub section ($name, $code) {
    my @got = eval { in_time(); $code->() };
    return !answer($name, fate($@)) if $@;
    unshift @got, $name if @got == 1;
    answer(shift @got, 'ok', shift @got) while @got;
    return 1;
}

sub answer ($name, $status, $body) {
    $sections++;
    my $packed = $status eq 'ok' && $said + length $body > $pack ? packed($body) : '';
    ($status, $body) = ('packed', $packed) if length $packed;
    $said += length $body;
    return out("$nonce $name $status " . length($body) . "\n$body\n");
}

# What gzip makes of it; nothing, if that is no gain or there is none.
sub packed ($body) {
    my $done = eval { fed($body, 5, 'gzip', '-1c') };
    return $done && !$done->{exit} && length $done->{out} < length $body ? $done->{out} : '';
}

sub out ($bytes) {
    while (length $bytes) {
        my $n = syswrite STDOUT, $bytes;
        stop('nobody reads the answer') unless $n || $! == EINTR;
        substr $bytes, 0, $n // 0, '';
    }
    return 1;
}

sub fail ($status, $why) { die { status => $status, why => $why } }

sub fate ($error) {
    return (failed => harmless($error)) unless ref $error;
    stop($error->{why}) if $error->{status} eq 'gone';
    return @$error{qw(status why)};
}

sub stop ($why) {
    print STDERR "ipsecfleet: $why\n";
    exit 2;
}

# The first line of somebody's words, without what may be quoted from a conf file.
sub harmless ($words) {
    my ($line) = $words =~ /^([^\n]*)/;
    $line =~ s/(["']).*?(?:\1|\z)/$1***$1/g;
    $line =~ s/\S+(?= not a valid )|(?<= found for )\S+/***/g;
    $line =~ s/[^ -~]/?/g;
    return substr $line, 0, 200;
}

# --- time, files, commands -------------------------------------------------------

sub now () { return (POSIX::times())[0] / $TICKS }    # seconds, monotonic (times(3), since OpenBSD 6.3)

sub within ($seconds, $latest = $end) {
    my $limit = now() + $seconds;
    return $limit < $latest ? $limit : $latest;
}

sub in_time () {
    fail(timeout => 'the visit has used up its deadline') if now() >= $end;
}

# True as soon as $test is, which is tried every 2 ms at first and every 50 ms later.
sub poll ($limit, $test) {
    my $nap = 0.002;
    until ($test->()) {
        return 0 if now() >= $limit;
        select undef, undef, undef, $nap;
        $nap = $nap < 0.033 ? $nap * 1.5 : 0.05;
    }
    return 1;
}

sub ensure ($code, $after) {
    my @got = eval { $code->() };
    my $why = $@;
    $after->();
    die $why if $why;
    return wantarray ? @got : $got[0];
}

sub opened ($file) {
    sysopen my $in, $file, O_RDONLY | O_NONBLOCK or return;
    fail('too-big' => "$file is over the limit") if -s $in > $MOST_OUTPUT;
    return $in;
}

sub slurp ($file) {
    my $in = opened($file) or return '';
    local $/;
    return readline($in) // '';
}

# $bytes in a new file that nobody else may read, and on the disk.
sub spill ($file, $bytes, $mode = 0600, @owner) {
    unlink $file;
    sysopen my $out, $file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600 or fail(failed => "$file: $!");
    my $n = length $bytes ? syswrite $out, $bytes : 0;
    return if defined $n && $n == length $bytes && own($out, $mode, @owner) && $out->sync && close $out;
    my $why = defined $n && $n < length $bytes ? 'it is cut off; is the file system full?' : $!;
    unlink $file;
    fail(failed => "$file: $why");
}

sub own ($file, $mode, @owner) { return (!@owner || chown @owner, $file) && chmod $mode, $file }

# Runs $code with a file of ours that has these bytes.
sub with_file ($bytes, $code) {
    make_home();
    my $file = "$home/$$.tmp";
    return ensure(sub { spill($file, $bytes); $code->($file) }, sub { unlink $file });
}

sub sha256 ($file) {
    my @tool = (uname())[0] eq 'OpenBSD' ? qw(sha256 -q) : 'sha256sum';
    my ($hash) = command(5, @tool, $file)->{out} =~ /^([0-9a-f]{64})\b/;
    return $hash // '-';
}

# A hash that says whether two texts are equal to whoever has the key of this visit, and nothing to anybody else.
sub keyed ($text) {
    fail(invalid => 'without a key nothing can be compared') unless length $hash_key;
    return with_file("$hash_key\n$text", \&sha256);
}

# What a command printed. It gets no input and no shell, and is killed when late.
sub command ($seconds, $name, @args) { return fed('', $seconds, $name, @args) }

# The same with input.
sub fed ($input, $seconds, $name, @args) {
    my ($program) = map { m{^(/.*)\z} && -f $_ && -x _ ? $1 : () } map { "$_/$name" } split /:/, $ENV{PATH};
    fail(missing => "there is no $name") unless defined $program;
    my $limit = within($seconds);
    pipe my $out, my $child_out or fail(failed => "pipe: $!");
    pipe my $err, my $child_err or fail(failed => "pipe: $!");
    pipe my $child_in, my $in   or fail(failed => "pipe: $!");
    my $pid = fork // fail(failed => "fork: $!");
    close($in), become($child_in, $child_out, $child_err, $program, $name, @args) unless $pid;
    setpgid($pid, $pid);
    close $_ for $child_in, $child_out, $child_err;
    my $ended = 0;
    return ensure(
        sub {
            my @got = gather($limit, $name, $in, $input, $out, $err);
            $ended = poll($limit, sub { waitpid($pid, WNOHANG) == $pid }) or fail(timeout => "$name did not end");
            return { exit => $? & 127 ? 128 + ($? & 127) : $? >> 8, out => $got[0], err => $got[1] };
        },
        sub { $ended or kill(-KILL => $pid), waitpid($pid, 0) }
    );
}

sub become ($in, $out, $err, $program, @argv) {
    eval {
        setpgid(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(ALRM HUP INT PIPE TERM);
        dup2(fileno $in,  0);
        dup2(fileno $out, 1);
        dup2(fileno $err, 2);
        exec {$program} @argv;
    };
    print STDERR "$program: ", $@ || $!;
    _exit(127);
}

# What comes out of the pipes, up to the end of both, while the input goes in.
sub gather ($limit, $name, $in, $input, @pipes) {
    my @got  = ('') x @pipes;
    my %open = map { $_ => $pipes[$_] } keys @pipes;
    $in->blocking(0);
    close $in unless length $input;
    while (%open) {
        my $left = $limit - now();
        fail(timeout => "$name did not end in time") if $left <= 0;
        my ($read, $write) = ('', '');
        vec($read, fileno $_, 1) = 1 for values %open;
        vec($write, fileno $in, 1) = 1 if length $input;
        next if select($read, $write, undef, $left) <= 0;
        if (length $input && vec $write, fileno $in, 1) {
            my $n = syswrite($in, $input, 1 << 16) // ($! == EAGAIN || $! == EINTR ? 0 : length $input);
            substr $input, 0, $n, '';
            close $in unless length $input;
        }
        for my $i (grep { vec $read, fileno $open{$_}, 1 } keys %open) {
            delete $open{$i} unless sysread $open{$i}, $got[$i], 1 << 16, length $got[$i];
            fail('too-big' => "$name printed over $MOST_OUTPUT bytes") if length $got[$i] > $MOST_OUTPUT;
        }
    }
    return @got;
}

sub ipsecctl (@args) {
    my $done = command(10, 'ipsecctl', @args);
    return $done->{exit} ? failed($done) : $done->{out};
}

sub failed ($done) { fail(failed => "exit $done->{exit}: " . harmless($done->{err})) }

# --- talking to the daemon ---------------------------------------------------------

sub make_home () {
    mkdir $home, 0700 or $! == EEXIST or fail($! == ENOENT ? 'missing' : 'failed', "$home: $!");
    my ($mode, $uid) = (lstat $home)[2, 4];
    fail(failed => "$home is not a directory of ours alone") unless defined $mode && -d _ && $uid == $> && !($mode & 022);
}

sub locked ($code) {
    make_home();
    sysopen my $lock, "$home/visit", O_RDWR | O_CREAT | O_NOFOLLOW, 0600 or fail(failed => "$home/visit: $!");
    poll(within(10, $patience), sub { flock $lock, LOCK_EX | LOCK_NB }) or fail(busy => holder($lock));
    truncate $lock, 0;
    syswrite $lock, "$$\n";
    return $code->();    # the lock goes with $lock
}

sub holder ($lock) {
    my ($pid) = (readline($lock) // '') =~ /^(\d+)/;
    return sprintf 'pid %s holds the visit lock since %d s', $pid // '?', time - (stat $lock)[9];
}

# Who has the run lock: nobody, if it has expired or says what we never write.
sub run_lock () {
    my ($run, $by, $since, $until) = slurp("$home/run") =~ /^($RUN) ($BY) (\d+\.\d\d) (\d+\.\d\d)\n\z/ or return;
    my $left = $until - now();
    return if $left <= 0 || $left > $LONGEST + 1;
    return { run => $run, by => $by, since => $since, left => $left };
}

sub is_ours ($lock) { return $lock && $who =~ /^\Q$lock->{run}\E / }

sub lock_run ($seconds, $take) {
    return locked(sub {
        my $armed = armed();
        fail(held => told($armed)) if $armed && !is_ours($armed);
        my $lock = run_lock();
        my $ours = is_ours($lock);
        fail(held => told($lock)) if $lock && !$ours && !$take;
        my $now = now();
        put_in_place('run', sprintf "%s %.2f %.2f\n", $who, $ours ? $lock->{since} : $now, $now + $seconds);
        return $lock && !$ours ? "took $lock->{run} $lock->{by}" : '';
    });
}

sub told ($lock) {
    return sprintf '%s %s %d %d', @$lock{qw(run by)}, now() - $lock->{since}, ceil($lock->{left});
}

sub unlock_run () {
    return locked(sub {
        unlink "$home/run" if is_ours(run_lock());
        return '';
    });
}

# A file of ours, there with all its bytes or as it was before.
sub put_in_place ($name, $bytes) {
    spill("$home/$name.new", $bytes);
    rename "$home/$name.new", "$home/$name" or fail(failed => "$home/$name: $!");
}

sub fifo () {
    my $path = "$place{run}/isakmpd.fifo";
    my $open = sysopen my $fifo, $path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW;
    my $why  = $open ? 0 : $!;
    return $fifo if $open && -p $fifo;
    fail(missing     => "there is no $path, so isakmpd does not run") if $why == ENOENT;
    fail('no-reader' => "nobody reads $path")                         if $why == ENXIO && -p $path;
    fail(failed      => "$path: $why")                                if $why == EACCES;
    fail(irregular   => "$path is no FIFO, and isakmpd cannot start while it is there");
}

sub ask (@lines) {
    my $fifo  = fifo();
    my $bytes = join "\n", @lines, '';
    my $n;
    poll($patience, sub { defined($n = syswrite $fifo, $bytes) || $! != EAGAIN && $! != EINTR })
      or fail('no-answer' => 'nobody empties the FIFO');
    fail('no-reader' => "the FIFO lost its reader: $!")           unless defined $n;
    fail(failed      => "$n of " . length($bytes) . ' bytes went') unless $n == length $bytes;
    return $n;
}

sub await ($file) {
    poll($patience, sub { -e $file }) or fail('no-answer' => 'the daemon did not answer in time');
}

# Runs $code with the last result out of the way, and puts back that, or what $code has left in its place.
sub aside ($code) {
    rename $result, "$home/result";
    return ensure($code, sub { rename "$home/result", $result });
}

# True once the daemon tells us $value: then all that we asked before is done, and no answer to it will come.
sub fenced ($value) {
    ask("C set [ipsecfleet]:fence=$value force", 'C get [ipsecfleet]:fence');
    await($result);
    my $told = poll(within(1), sub { slurp($result) eq "$value\n" });
    unlink $result;
    return $told;
}

# Comes back when the daemon has done all that was written before.
sub caught_up () {
    for (1 .. 3) { return if fenced("$nonce.s" . ++$fences) }
    fail(@SHIFTED);
}

sub report () {
    $last_report = undef;
    my @pairs = locked(sub { aside(\&fenced_report) });
    $last_report = {@pairs};
    return @pairs;
}

sub fenced_report () {
    my @mode = map { S_IMODE($_) } (stat "$home/result")[2] // ();
    return ensure(
        sub {
            my @pairs = three_tries();
            chmod $_, "$home/report" for @mode;
            rename "$home/report", "$home/result";
            return @pairs;
        },
        sub { unlink map { ("$home/$_", "$home/$_.again") } 'fence', map { $_->[0] } @ASKED }
    );
}

sub three_tries () {
    for my $try (1 .. 3) {
        my @pairs = eval { answers("$nonce.$try") };
        return @pairs unless $@;
        die $@ if $try == 3 || !ref $@ || $@->{status} !~ /^(?:shifted|failed)\z/;
        fenced("$nonce.$try.again");
    }
}

# One stranger's answer may have the shape of what we asked (empty, or a list), and be followed by two of ours in one
# file, which makes up for the shift. So all that is so short is asked twice, each time with a fence, and must be equal.
sub answers ($value) {
    take("$value.1", @ASKED);
    my @twice = grep { $_->[0] ne 'report' || -z "$home/report" } @ASKED;
    take("$value.2", map { ["$_->[0].again", $_->[1]] } @twice);
    fail(@SHIFTED) if grep { taken($_->[0]) ne taken("$_->[0].again") } @twice;
    my ($report, @lists) = my @got = map { taken($_->[0]) } @ASKED;
    fail(@SHIFTED) if $report !~ /^(?:\z|SA name: )/ || grep { /^SA name: |\n./s } @lists;
    fail(failed => 'an answer is cut off; is the file system full?') if grep { /[^\n]\z/ } @got;
    return map { $ASKED[$_][0] => $got[$_] } keys @got;
}

# Each answer in a file of its own, and the last is $value.
sub take ($value, @asked) {
    for (@asked, [fence => "C set [ipsecfleet]:fence=$value force", 'C get [ipsecfleet]:fence']) {
        my ($name, @lines) = @$_;
        fail(@SHIFTED) if -e $result;
        ask(@lines);
        await($result);
        rename $result, "$home/$name";
    }
    poll(within(1), sub { -e $result || taken('fence') eq "$value\n" });
    fail(@SHIFTED) if taken('fence') ne "$value\n";
}

sub taken ($name) { return slurp("$home/$name") }

# --- the daemon's state, by SIGUSR1 ---------------------------------------------------

sub exchanges () {
    return locked(sub { aside(\&state_report) });
}

sub exchanges_if_half_up () {
    fail(skipped => 'nothing is half-up') unless $last_report && half_up(%$last_report);
    return exchanges();
}

# An SA without a name, or a name on a list without an SA.
sub half_up (%of) {
    my %has = map { lc $_ => 1 } $of{report} =~ /^SA name: (.*) \(Phase /mg;
    return $has{'<unnamed>'} || grep { !$has{ lc $_ } } map { split /[,\n]/ } @of{qw(connections passive held held-passive)};
}

sub state_report () {
    my $file = "$place{run}/isakmpd.report";
    my $pid  = monitor();
    fail('no-daemon' => "the pid file is $pid") unless $pid =~ /^\d/;
    fifo();
    unlink $file;
    return ensure(
        sub {
            kill USR1 => $pid or fail('no-daemon' => "pid $pid: $!");
            await($file);
            caught_up();
            my $in = opened($file) or fail('no-answer' => "$file: $!");
            return allowed($in);
        },
        sub { unlink $file }
    );
}

# The pid in the pid file; `none`; or `stale` if it is not isakmpd's monitor, which alone does not die of SIGUSR1.
# After a title of its own making, ps(1) on OpenBSD shows a process's real name in brackets.
sub monitor () {
    my ($pid) = slurp("$place{run}/isakmpd.pid") =~ /^\s*([1-9]\d{0,8})\s*\z/ or return 'none';
    my $title = command(5, 'ps', qw(-ww -o command= -p), $pid)->{out};
    return $title =~ /^isakmpd: monitor \[priv\](?: \(isakmpd\))?\s*\z/ ? $pid : 'stale';
}

# The lines of a state report that may leave.
sub allowed ($in) {
    my ($config, $section, @kept);
    while (defined(my $line = readline $in)) {
        $section = undef, next unless $line =~ s/^\d{6}\.\d{6} Report> (.*)\n\z/$1/s;
        if (!$config) {
            $config = $line =~ /^conf_report: dumping running configuration\z/;
            push @kept, state_line($line);
        }
        elsif ($line =~ /^(?:\[|\z)/) {
            ($section) = $line =~ /^\[([ -\\^-~]+)\]\z/;
            push @kept, $line if defined $section;
        }
        elsif (defined $section) {
            push @kept, length $line < $LINE_CUT ? config_line($line, $section) : cut_line($line);
        }
    }
    return join '', map { "$_\n" } @kept;
}

sub state_line ($line) {
    my $id = qr{[A-Za-z0-9.:/<>\@_\ -]{1,120}};
    return exchange_line($1, $2) if $line =~ m{^(exchange_report: 0x$HEX (?:$NAME|<unnamed>)) (.*)\z}s;
    return $line if $line =~ m{^exchange_report: (?:icookie $HEX rcookie $HEX|msgid $HEX(?: sa_list[ 0-9a-fx]*)?)\s*\z};
    return $1    if $line =~ m{^(connection_report: passive connection $NAME(?: local_id: $id, remote_id: $id)?)};
    return $line if $line =~ m{^connection_report: connection $NAME next check -?\d+ seconds\z};
    return $line if $line =~ m{^timer_report: event (?:exchange_free_aux|ui_conn_reinit)\(0x$HEX\) scheduled in -?\d+ seconds\z};
    return;
}

# The policy's name can be freed memory: it passes in the shape it must have, or as a question mark.
sub exchange_line ($head, $rest) {
    my ($policy) = $rest =~ /^(phase[12]-$NAME|Default-phase-\d-configuration|<no policy>)(?: |\z)/;
    my ($tail)   = $rest =~ /.*( policy(?: (?:initiator|responder|phase|doi|exchange|step|\d{1,9})\b)*)/s;
    return join '', $head, ' ', $policy // '?', $tail // '';
}

# Of a value that was cut off, that there is one.
sub cut_line ($line) { return $line =~ /^((?:$BUILT)=\t)/i }

sub config_line ($line, $section) {
    my $tags = qr{$BUILT|Address|Local-address|Connections|Passive-Connections|ID|ID-type|Network|Netmask|Protocol|Port}i;
    return $line if $line =~ /^(?:$tags)=\t[ -~]*\z/;
    return $line if length $hash_key && $line =~ /^(?:$TERMS)=\t[ -~]*\z/;
    return "Authentication=\t" . keyed($1) if length $hash_key && $line =~ /^Authentication=\t([^\n]*)\z/;
    my $names = qr{=\t$NAME(?:,$NAME)*\z};
    return $line if $section =~ /^Phase 1\z/i    && $line =~ /^(?:$ADDR|Default)$names/i;
    return $line if $section =~ /^ipsecfleet\z/i && $line =~ /^(?:fence|Held-[A-Za-z-]+|peer-of-$ADDR)$names/i;
    return;
}

# --- the other verbs ---------------------------------------------------------------

sub host () {
    my $fifo = eval { fifo(); 1 } ? 'fifo' : $@->{status};
    my @mode = map { my @is = stat; @is ? sprintf '%04o', S_IMODE($is[2]) : '-' } "$place{run}/isakmpd.fifo", $result;
    my @told = (time => time, release => join(' ', (uname())[0, 2]), uid => $>, fifo => $fifo);
    push @told, 'fifo-mode' => $mode[0], 'result-mode' => $mode[1], pid => monitor(), version => $VERSION;
    push @told, sha256 => own_hash() if $RESTRICTED;
    return join '', map { $_ % 2 ? "$told[$_]\n" : "$told[$_] " } keys @told;
}

# What is installed may be of another version than the caller, who can tell by this.
sub own_hash () {
    my ($file) = $0 =~ m{^(/[A-Za-z0-9._/-]{1,250})\z} or return '-';
    return sha256($file);
}

sub carp () {
    my $done = command(5, 'ifconfig', 'carp');
    return $done->{out} unless $done->{exit};
    return $done->{err} =~ /no such interface/i ? '' : failed($done);
}

sub keyless ($text) {
    return join '', grep { !/\bkey_|\b(?:auth|enc)key\b/ } split /^/, $text;
}

# The names that a conf file makes. The macro `t = "secret"` is printed as such, hence the shape of a `t` line.
sub conf ($file) {
    return join '', grep { /^(?:t [^\s=]\S*|C rmv \[Phase 2\]:\S+)$/ } split /^/, ipsecctl(qw(-d -n -v -f), $file);
}

sub files () {
    my $file = "$place{etc}/ipsec.conf";
    my $in   = opened($file) or fail($! == ENOENT ? 'missing' : 'failed', "$file: $!");
    my @told = file($file);
    for (readline $in) {
        my (undef, $path) = /^\s*include\s+(["'])([ -~]{1,1000}?)\1/ or next;
        push @told, "include $path\n", file($path =~ m{^/} ? $path : "/$path");
    }
    return join '', @told;
}

sub file ($path) {
    my @is = stat $path or return;
    return sprintf "%04o %d %d %d %s\n", S_IMODE($is[2]), @is[4, 5, 7], $path;
}

# A change needs the run lock. It is told to the gateway's own log before; that this cannot be written does not stop it.
sub change ($text, $make, @args) {
    return locked(sub {
        my $lock = run_lock();
        my $has  = $lock ? "$lock->{run} $lock->{by}" : 'nobody';
        fail(lost => "the run lock is not ours: $has has it") unless is_ours($lock);
        eval { command(3, 'logger', qw(-p daemon.notice -t ipsecfleet), "$who: $text") };
        fate($@) if $@;
        in_time();
        return $make->(@args);
    });
}

sub send_lines (@lines) {
    fifo();
    return change(join('; ', @lines), \&ask, @lines);
}

# What a conf file means: the lines that ipsecctl would send for it, with the hash of each key in place of it.
sub meaning ($file) {
    my $done = command(10, 'ipsecctl', qw(-n -v -f), $file);
    $done->{err} =~ s/\Q$home\E\/\d+\.tmp/the new text/g;
    failed($done) if $done->{exit};
    return join '', map { meaning_line($_) } split /^/, $done->{out};
}

sub meaning_line ($line) {
    my ($head, $tag, $value) = $line =~ /^(C (?:set|add) \[[^\]\n]+\]:([A-Za-z0-9.:%_-]+)=)([^\n]*?)(?: force)?\n\z/ or return '';
    return $head . keyed($value) . "\n" if $tag eq 'Authentication';
    my $known = $tag =~ /^(?:$BUILT|$ADDR|Default|Address|Local-address
        |$TERMS|ID-type|ID
        |Suites|Protocols|PROTOCOL_ID|TRANSFORM_ID|ENCAPSULATION_MODE|AUTHENTICATION_ALGORITHM|Network|Netmask|Protocol|Port
        |Check-interval|DPD-check-interval|Connections|Passive-Connections)\z/x;
    return $known ? "$head$value\n" : '';
}

# What is on the disk: owner, mode, a keyed hash, and the text as it may leave.
sub stored ($file) {
    my $in = opened($file) or fail($! == ENOENT ? 'missing' : 'failed', "$file: $!");
    my @is = stat $in;
    fail(irregular => "$file is not a file") unless -f _;
    local $/;
    my $text = readline($in) // '';
    return sprintf("%04o %d %d %s\n", S_IMODE($is[2]), @is[4, 5], keyed($text)) . masked($text);
}

# The text without what could be a key, however it is written: after the words that announce one, in the value of a
# macro, between quotes, after a macro that may stand for such a word. Where lines are joined, nothing of it is shown.
sub masked ($text) {
    return $text =~ s/[^\n]+/***/gr if $text =~ /\\/;
    return join '', map { masked_line($_) } split /^/, $text;
}

sub masked_line ($line) {
    return '***' . ($line =~ /(\n)/ ? $1 : '') if ($line =~ tr/"//) % 2 || ($line =~ tr/'//) % 2;
    return $line                              if $line =~ /^\s*include\s+"[^"'\n]*"\s*\z/a;
    return $line                              if $line =~ s/^(\s*#?\s*[A-Za-z0-9_]+\s*=).*/$1 ***/a;
    $line =~ s/"[^"]*"|'[^']*'/***/g;
    $line =~ s/\b(psk|authkey|enckey)(\s+)\S+/$1$2***/ga;
    $line =~ s/(\$\w+\s+)(\S+)/$1 . after_macro($2)/gea;
    return $line;
}

sub after_macro ($word) {
    return $word =~ m{^(?:$OPEN_WORD)\z} ? $word : '***';
}

# --- the daemon's log --------------------------------------------------------------------

# What the log says of these peers, connections and files, and of the daemon as a whole: when what was read begins, and
# line by line the moment, whom of those asked for it is about (or `-`), and the text.
sub notices ($seconds, @words) {
    my %wanted = map { same($_) => $_ } @words;
    my $since  = time - $seconds;
    my ($begins, @lines) = log_lines($since - 1);
    my (@told, @reasons, @latest);
    for (@lines) {
        my ($at, $program, $pid, $text) = @$_;
        push @told, map { [$at, @$_[1, 2]] } @latest if $program eq 'repeated';
        next if $program eq 'repeated';
        @latest = map { [$at, @$_] } $program eq 'ipsecfleet' ? our_line($text, \%wanted) : notice($text, \%wanted);
        if ($text =~ /^dropped message .* (\S+)\z/) {
            my $why = $REASON{$1};
            my @own = grep { $why && @latest && $_->[1] == $pid && $_->[0] >= $at - 1 && $_->[2] =~ /^$why\z/ } @reasons;
            unshift @latest, map { [$_->[0], $latest[0][1], $_->[2]] } @own;
            @reasons = ();
        }
        elsif ($program eq 'isakmpd' && grep { $text =~ /^$_\z/ } values %REASON) {
            push @reasons, [$at, $pid, $text];
        }
        push @told, @latest;
    }
    @told = grep { $_->[0] >= $since } @told;
    my $most = $MOST_TOLD + 10 * @words;
    if (@told > $most) {
        @told   = @told[-$most .. -1];
        $begins = $told[0][0];
    }
    return join '', "from $begins\n", map { "@$_\n" } @told;
}

# One spelling of a name or an address.
sub same ($word) {
    my $bytes = $word =~ /:.*:/ ? inet_pton(AF_INET6, $word) : inet_pton(AF_INET, $word);
    return defined $bytes ? unpack('H*', $bytes) : lc $word;
}

# Whom of those wanted a notice is about, and its text as it may leave; nothing, if it may not.
sub notice ($text, $wanted) {
    return ['-', $1] if $text =~ /^($NOBODYS)/;
    my ($told) = $text =~ /^($NOTICE)\z/ or return;
    my $of = $wanted->{ same($+{of}) };
    return defined $of ? [$of, $told] : ();
}

# A line that a visit has left there, for each of those wanted that it names.
sub our_line ($text, $wanted) {
    my ($told, $done) = $text =~ m{^($RUN $BY: ([A-Za-z0-9 ;:=._/%+\@\[\]-]{1,1000}))\z} or return;
    my %of;
    for my $part (split /; /, $done) {
        return unless length fifo_line($part) || $part =~ m{^(?:ipsecctl -|put /|restore /|arm $KIND /|confirm /|roll back /)};
        for my $word (split / /, $part) {
            my $bare = $word =~ s/^.*\]://r =~ s/:\z//r;
            $of{$_}++ for grep { defined } map { $wanted->{ same($_) } } $bare, $bare =~ /^([^=]*)=(.*)\z/;
        }
    }
    return map { [$_, $told] } sort keys %of;
}

# When what can be read of the log begins, and its lines since then as moment, program, pid and text; also from before
# newsyslog(8) turned it over, where all that came after can be read.
sub log_lines ($since) {
    my $file = "$place{log}/daemon";
    my $text = tail($file) // fail($! == ENOENT ? 'missing' : 'failed', "$file: $!");
    return time unless length $text;
    my ($begins, @lines) = stamped($text, $since);
    if ((!defined $begins || $begins > $since) && length $text < $MOST_LOG) {
        my ($earlier, @older) = stamped(older($file), $since);
        ($begins, @lines) = ($earlier, @older, @lines) if defined $earlier;
    }
    fail(failed => "no line of $file has a moment that is understood") unless defined $begins;
    return ($begins, @lines);
}

sub older ($file) {
    return tail("$file.0") // '' if -e "$file.0";
    my $done = -e "$file.0.gz" ? eval { command(10, 'gzip', '-dc', "$file.0.gz") } : undef;
    return '' if !$done || $done->{exit};
    return length $done->{out} > $MOST_LOG ? substr($done->{out}, -$MOST_LOG) : $done->{out};
}

# What stands in the file from there on, or at its end.
sub tail ($file, $from = 0) {
    sysopen my $in, $file, O_RDONLY | O_NONBLOCK or return;
    my $size = -s $in;
    $from = 0                 if $from > $size;
    $from = $size - $MOST_LOG if $from < $size - $MOST_LOG;
    sysseek $in, $from, 0;
    my $text = '';
    while (sysread $in, $text, 1 << 16, length $text) { last if length $text > 2 * $MOST_LOG }
    return $text;
}

# When a text begins, and its lines that are of concern and not older than that.
sub stamped ($text, $since) {
    my (@lines, $begins, $ours, $strange);
    while ($text =~ /([^\n]+)/g) {
        my @is = $1 =~ /^$STAMP(?:(isakmpd|ipsecfleet)(?:\[(\d{1,9})\])?: (.*)|last message (repeated) \d+ times?\z|)/;
        $strange = !@is;
        next if $strange;
        my $again = $ours && defined $is[8];
        $ours = $again || defined $is[5];
        next if defined $begins && !$ours;
        my $at = moment_of(@is[0 .. 4]) // next;
        $begins //= $at;
        push @lines, [$at, $again ? 'repeated' : $is[5], $is[6] // 0, $is[7] // ''] if $ours && $at >= $since;
    }
    fail(failed => 'the last line of the log has a moment that is not understood') if $strange && defined $begins;
    return ($begins, @lines);
}

# A local moment without a year as seconds since the epoch: none that is to come.
sub moment_of ($month, $day, @clock) {
    my ($year, $now) = ((localtime)[5], time);
    my @when = (reverse(@clock), $day, $MONTH{$month} // return);
    for ([$year, -1], [$year, 0], [$year, 1], [$year - 1, -1]) {
        my $at = mktime(@when, $_->[0], 0, 0, $_->[1]);
        return $at if defined $at && $at <= $now + 60;
    }
    return;
}

# Raises a class of debugging for so long, and says what it was before, or `?` where the daemon has not said it yet. A
# process that outlives us puts it back, whatever else it cannot do.
sub debug ($class, $level, $seconds) {
    make_home();
    fifo();
    my $told = "debug.$$";
    unlink "$home/$told";
    eval { command(3, 'logger', qw(-p daemon.notice -t ipsecfleet), "$who: D $class $level for $seconds s") };
    outlive(sub {
        my $alone = alone('debug');
        put_in_place($told, $alone ? 'raising' : 'busy');
        return unless $alone;
        my $before = -s "$place{log}/daemon" // 0;
        my $raised = eval { locked(sub { ask("D $class $level") }) };
        eval { put_in_place($told, ref $@ ? $@->{why} : 'failed') }, return unless $raised;
        my $was = sub { level_before($class, $level, $before) };
        poll(within(3), sub { defined $was->() });
        eval { put_in_place($told, $was->() // '?') };
        my $until = now() + $seconds;
        select undef, undef, undef, 0.2 while now() < $until;
        my $back = eval { $was->() } // 0;
        patiently(sub { ask("D $class $back") });
        unlink "$home/$told";
    });
    my $said = '';
    poll($patience, sub { ($said = slurp("$home/$told")) !~ /^(?:|raising)\z/ }) or fail(failed => 'nobody says that the level was raised');
    unlink "$home/$told";
    fail(busy => 'somebody else has raised a class of debugging just now') if $said eq 'busy';
    fail(failed => $said) unless $said =~ /^(?:\d+|\?)\z/;
    return $said;
}

# The lock of that name, if nobody has it.
sub alone ($name) {
    sysopen my $lock, "$home/$name", O_RDWR | O_CREAT | O_NOFOLLOW, 0600 or return;
    return flock($lock, LOCK_EX | LOCK_NB) ? $lock : undef;
}

# What a class was at, by the daemon's own word in its log from there on, and no more than we would set: anybody can
# write such a line.
sub level_before ($class, $level, $from) {
    my $new = tail("$place{log}/daemon", $from) // '';
    my ($was) = $new =~ /^${STAMP}isakmpd(?:\[\d+\])?: log_debug_cmd: log level changed from (\d{1,3}) to $level for class $class$/m
      ? $6 : $new =~ /^${STAMP}isakmpd(?:\[\d+\])?: log_debug_cmd: log level unchanged for class $class$/m ? $level : undef;
    return defined $was && $was > $MOST_LEVEL{$class} ? $MOST_LEVEL{$class} : $was;
}

# --- changes of files ------------------------------------------------------------------

# The change that waits for its confirmation. When its watcher must long have ended, there is none.
sub armed () {
    my ($head, @undo) = split /\n/, slurp("$home/armed");
    my ($run, $by, $id, $since, $until, $kind, $delay, $file) =
      ($head // '') =~ m{^($RUN) ($BY) (\d+) (\d+\.\d\d) (\d+\.\d\d) ($KIND) (\d+\.\d\d) (/[A-Za-z0-9._/-]+)\z} or return;
    my $left = $until - now();
    return if $left < -$TAKING_BACK || $left > $LONGEST + 1;
    @undo = map { fifo_line($_) } @undo;
    return {
        run => $run, by => $by, id => "$id $since", since => $since, left => $left > 1 ? $left : 1,
        kind => $kind, delay => $delay, file => $file, undo => \@undo,
    };
}

sub told_armed () {
    my $change = armed() or return '';
    return told($change) . " $change->{kind} $change->{file}\n";
}

# What is renamed to decide, and to what.
sub deciding ($change) {
    my $to = $change->{kind} eq 'change' ? $change->{file} : "$place{etc}/ipsec.conf";
    return ("$to.new", $to);
}

# Whether it was confirmed, by what is on the disk.
sub confirmed ($change) {
    return !-e "$change->{file}.new" if $change->{kind} eq 'change';
    return is_included($change->{file}) == ($change->{kind} ne 'remove');
}

sub includes ($line, $file) { return $line =~ /^\s*include\s+(["'])\Q$file\E\1\s*(?:#.*)?$/ }

sub is_included ($file) { return !!grep { includes($_, $file) } split /^/, slurp("$place{etc}/ipsec.conf") }

# ipsec.conf.new, which includes $file or does not, with mode and owner of ipsec.conf.
sub edit_includes ($file, $with) {
    my $conf = "$place{etc}/ipsec.conf";
    my @is   = lstat $conf;
    fail(irregular => "$conf is not a file") if @is && !-f _;
    my @lines = grep { !includes($_, $file) } split /^/, slurp($conf);
    $lines[-1] .= "\n" if @lines && $lines[-1] !~ /\n\z/;
    push @lines, qq{include "$file"\n} if $with;
    my @as = @is ? (S_IMODE($is[2]), @is[4, 5]) : ();
    spill("$conf.new", join('', @lines), @as);
    ipsecctl('-n', '-f', "$conf.new");
}

sub put_new ($file, $bytes) {
    return change("put $file.new", sub { spill("$file.new", $bytes); return '' });
}

sub restore ($run, $file) {
    my ($name) = $file =~ m{([^/]+)\z};
    my ($old)  = grep { -f $_ } map { kept_at($run, $_, $name) } qw(change remove);
    fail(missing => "$run left no $name to go back to") unless defined $old;
    return put_new($file, slurp($old));
}

sub kept_at ($run, $kind, $name) { return "$place{etc}/ipsecfleet/$run/$kind/$name" }

# The changes of a run that can be taken back, as `KIND NAME`.
sub kept ($run) { return map { m{/([a-z]+/[^/]+)\z} ? $1 =~ s{/}{ }r : () } sort glob kept_at($run, '*', '*') }

# Keeps what is there now, for whoever wants to go back to it.
sub keep ($run, $kind, $file) {
    my ($name) = $file =~ m{([^/]+)\z};
    my $at = kept_at($run, $kind, $name);
    my $up = '';
    for (split m{/}, $at =~ s{/[^/]+\z}{}r) {
        $up .= "$_/";
        mkdir $up, 0700;
    }
    my @runs = map { m{^(/[A-Za-z0-9._/\@-]+)\z} ? $1 : () } sort glob "$place{etc}/ipsecfleet/*";
    forget_kept($_) for @runs > $RUNS_KEPT ? @runs[0 .. $#runs - $RUNS_KEPT] : ();
    spill($at, slurp($file));
}

sub forget_kept ($folder) {
    my @found = map { m{^(/[A-Za-z0-9._/\@-]+)\z} ? $1 : () } glob "$folder/*/*";
    unlink @found;
    rmdir $_ for map({ s{/[^/]+\z}{}r } @found), $folder;
}

sub arm ($verb) {
    my ($run) = split / /, $who;
    my ($kind, $file) = @$verb{qw(kind file)};
    return change("arm $kind $file", sub {
        my $other = armed();
        fail(busy => "$other->{file} is not confirmed yet") if $other;
        my $now  = now();
        my @head = ($who, $$, $now, $now + $verb->{seconds}, $kind, $verb->{delay}, $file);
        unlink "$home/begun";
        watch($verb->{seconds}, join "\n", sprintf('%s %d %.2f %.2f %s %.2f %s', @head), $verb->{undo}->@*, '');
        poll(within(5), \&armed) or fail(failed => 'no watcher is there');
        ipsecctl('-n', '-f', "$file.new") if $kind =~ /^(?:add|change)\z/;
        keep($run, $kind, $file);
        rename "$file.new", $file or fail(failed => "$file: $!") if $kind eq 'add';
        edit_includes($file, $kind ne 'remove') if $kind ne 'change';
        return '';
    });
}

# The caller's change of that file, which is armed; or nothing.
sub our_change ($file) {
    my $change = armed();
    return is_ours($change) && $change->{file} eq $file ? $change : undef;
}

# The caller's change of that file as its old file tells it; or nothing.
sub past_change ($file) {
    my ($run)  = split / /, $who;
    my ($name) = $file =~ m{([^/]+)\z};
    my ($kind) = map { / \Q$name\E\z/ && /^($KIND) / ? $1 : () } kept($run);
    return $kind && { run => $run, kind => $kind, file => $file };
}

sub confirm ($file) {
    my $change = our_change($file);
    if (!$change) {
        my $past = past_change($file);
        return 'already' if $past && confirmed($past);
        fail('taken-back' => "$file was taken back");
    }
    change("confirm $file", sub { });
    my ($from, $to) = deciding($change);
    local @SIG{qw(ALRM HUP INT TERM)} = ('IGNORE') x 4;
    my $won = rename $from, $to;
    my $at  = moment();
    eval { command(3, 'logger', qw(-p daemon.notice -t ipsecfleet), "$who: confirm $file: " . ($won ? 'won' : 'lost') . " at $at") };
    fail('taken-back' => "$file was taken back") unless $won;
    close_change($change);
    return $at;
}

# What is left to do of a confirmed change. Whoever confirmed it may have been killed before; then its watcher does it.
sub close_change ($change) {
    unlink $change->{file} if $change->{kind} eq 'remove';
    unlink "$home/begun", "$home/armed" if still_armed($change);
}

# Takes back what was armed and not confirmed. A watcher does it, so that it is done to its end.
sub roll_back ($file) {
    my $change = our_change($file) // past_change($file) or return 'nothing was armed';
    fail(lost => "$file is confirmed") if !our_change($file) && confirmed($change);
    change("roll back $file", sub { watch(0, { delay => 0, undo => [], %$change }) });
    poll($patience, sub { !our_change($file) && !-e (deciding($change))[0] })
      or fail(timeout => "the rollback of $file goes on");
    return '';
}

# A moment by the clock, to a fraction of a millisecond where perl can tell.
sub moment () { return sprintf '%.6f', eval { require Time::HiRes; Time::HiRes::time() } // time }

# Takes the change back in so many seconds, unless it is confirmed: a process that ends neither with us nor with sshd.
# It arms the change itself where that is to be done, so that none is armed without somebody to take it back.
sub watch ($seconds, $change) {
    my $until = now() + $seconds;
    outlive(sub {
        put_in_place('armed', $change) unless ref $change;
        wait_and_see(ref $change ? $change : armed(), $until);
    });
}

# Runs $code in a process of its own session, which is there when this comes back.
sub outlive ($code) {
    my $pid = fork // fail(failed => "fork: $!");
    if ($pid) {
        waitpid $pid, 0;
        fail(failed => 'no watcher could be started') if $?;
        return;
    }
    eval {
        setsid();
        my $child = fork;
        _exit(defined $child ? 0 : 1) if $child || !defined $child;
        detach();
        $code->();
    };
    _exit(0);
}

sub detach () {
    alarm 0;
    $SIG{$_} = 'IGNORE' for qw(ALRM HUP INT PIPE TERM);
    $0 = 'ipsecfleet: watcher';
    chdir $home;
    sysopen my $null, '/dev/null', O_RDWR or die;
    dup2(fileno $null, $_) for 0 .. 2;
    POSIX::close($_) for 3 .. 255;
    ($end, $patience) = (now() + 2 * $LONGEST) x 2;
}

# Nothing is left to do when another change of the file was armed in the meantime, or none is.
sub wait_and_see ($change, $until) {
    while ((my $left = $until - now()) > 0) {
        return unless still_armed($change);
        select undef, undef, undef, $left < 1 ? $left : 1;
    }
    take_back($change) if !defined $change->{id} || still_armed($change);
}

sub still_armed ($change) {
    my $armed = armed();
    return $armed && $armed->{id} eq ($change->{id} // '');
}

sub take_back ($change) {
    my ($kind, $file) = @$change{qw(kind file)};
    my ($from, $to) = deciding($change);
    my $won    = rename $from, "$to.rejected";
    my $at     = moment();
    my $theirs = !$won && -e "$to.rejected";    # another watcher takes it back already
    my $lost   = $theirs || !$won && confirmed($change);
    eval { command(3, 'logger', qw(-p daemon.notice -t ipsecfleet), "$who: roll back $file: " . ($lost ? 'lost' : 'won') . " at $at") };
    return                       if $theirs;
    return close_change($change) if $lost;
    my $begun = -e "$home/begun";
    if ($begun) {
        my $loaded = $kind eq 'add' ? $file : $kind eq 'change' ? "$to.rejected" : undef;
        patiently(sub { ipsecctl_file('', '-d', '-f', $loaded) }) if $loaded;
        patiently(sub { ask($change->{undo}->@*) }) if $change->{undo}->@*;
        select undef, undef, undef, $change->{delay};
    }
    my ($name) = $file =~ m{([^/]+)\z};
    my $kept = kept_at(@$change{qw(run kind)}, $name);
    if ($kind eq 'add') { -s $kept ? rename($kept, $file) : unlink $file }
    patiently(sub { ipsecctl_file('', '-f', $file) }) if $begun && $kind =~ /^(?:change|remove)\z/;
    unlink "$to.rejected", "$file.new", $kept, "$home/begun", "$home/armed";
}

# Once a second for a minute, until it does not fail.
sub patiently ($code) {
    for (1 .. 60) {
        return if eval { locked($code); 1 };
        select undef, undef, undef, 1;
    }
}

# ipsecctl with a file, or with a flow of ours. A `t quick` that the daemon does after we loaded ours would take it away
# with its own: the kernel has one flow for the same selectors. So the daemon is waited for.
sub load ($flow, @args) {
    return change(
        length $flow ? "ipsecctl @args: $flow" : "ipsecctl @args",
        sub {
            aside(\&caught_up) if length $flow;
            return ipsecctl_file($flow, @args);
        }
    );
}

# ipsecctl with a conf file; one that is of a change, as long as that is armed: else nobody would take it back.
sub load_file ($verb, @args) {
    if (length $verb->{of}) {
        our_change($verb->{of}) or fail('taken-back' => "the change of $verb->{of} is not armed any more");
        put_in_place('begun', '');
    }
    return load('', @args, $verb->{file});
}

# With -d, a flow that is gone already is no failure.
sub ipsecctl_file ($flow, @args) {
    my $done = fed("$flow\n", $end - now(), 'ipsecctl', @args);
    return 'done' unless $done->{exit};
    my @words = grep { !/^ipsecctl: failed to delete rule \d+\z/ } split /\n/, $done->{err};
    my $gone  = @words && !grep { !/^ipsecctl: PF_KEY failed: No such process\z/ } @words;
    return $gone && $args[0] eq '-d' ? 'a flow was gone already' : failed($done);
}

$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { fail(gone => 'ended by a signal') } for qw(HUP INT TERM);
$SIG{ALRM} = sub {
    $SIG{ALRM} = 'DEFAULT';
    alarm 5;
    fail(timeout => 'the visit has used up its deadline');
};
umask 077;
alarm 30;    # for the request to arrive
eval { main(); 1 } or stop(ref $@ ? $@->{why} : harmless($@));

__END__
