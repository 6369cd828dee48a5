"""The script that opens the reporting mailboxes to the app, run by PowerShell against a stand-in for Exchange Online.

PowerShell comes from no package index: where no `pwsh` is on PATH, tests/infra/test_exchange_syntax.py holds the script
to what can be read from its text. Where it matters what becomes of an error, the script is run in both ways: called in
a session, as an administrator does, and in the global scope, as by `pwsh -File`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.exchange_tenant import (
    APP,
    CONTROL,
    JUNK,
    LABEL,
    OBJECT,
    PWSH,
    REPORTS,
    ROLE,
    SCRIPT,
    SIGNED_IN,
    STUB,
    Exchange,
    Sessions,
    assignment,
    guid_of,
    mailbox,
    new_tenant,
    policy,
)

GRANT = ["New-ServicePrincipal", "New-ManagementScope", "New-ManagementRoleAssignment"]
SECOPS = ["New-SecOpsOverridePolicy", "New-ExoSecOpsOverrideRule"]
REMOVALS = [
    "Remove-ManagementRoleAssignment",
    "Remove-ManagementScope",
    "Remove-ServicePrincipal",
    "Remove-SecOpsOverridePolicy",
]
READS = [
    "Get-Mailbox",
    "Get-ServicePrincipal",
    "Get-ManagementScope",
    "Get-ManagementRoleAssignment",
    "Get-SecOpsOverridePolicy",
    "Get-ExoSecOpsOverrideRule",
]
POINTER = {"AppId": APP, "ObjectId": OBJECT, "DisplayName": "somebody else's"}
RULE = {"Name": "_Exe:SecOpsOverrid:1", "Mode": "Enforce"}
ANSWERS, SEND_ROLE = "answers@contoso.com", "Application Mail.Send"
FEEDBACK = f"FeedbackMailbox {ANSWERS}"
EARLIER = "cccccccc-1111-2222-3333-444444444444"
DEPLOY = SCRIPT.parents[2] / "docs" / "deploy.md"

pytestmark = pytest.mark.skipif(
    PWSH is None, reason="NOT RUN: exchange-access.ps1, as no pwsh is on PATH; its syntax tree is checked all the same"
)
both_ways = pytest.mark.parametrize("way", ["session", "file"])


def each_once_and_one_by_file(cmdlets: list[str]) -> pytest.MarkDecorator:
    """Return the cases of a test: each cmdlet in a session, where no error stops by itself, and one by -File."""
    cases = [*(("session", cmdlet) for cmdlet in cmdlets), ("file", cmdlets[-1])]
    return pytest.mark.parametrize(("way", "cmdlet"), cases)


@pytest.fixture(scope="module")
def sessions() -> Iterator[Sessions]:
    """Return one PowerShell process for the module's runs."""
    process = Sessions()
    yield process
    process.close()


@pytest.fixture
def exchange(tmp_path: Path, sessions: Sessions) -> Exchange:
    """Return a tenant of three mailboxes in which nothing is set up."""
    return new_tenant(tmp_path / "exchange.json", sessions)


# A run, a second, another list, and back


@both_ways
def test_what_if_prints_the_changes_and_makes_none(exchange: Exchange, way: str) -> None:
    """A dry run names each change that a real run would make, with what it is about, signs in, and only reads."""
    ran = exchange.run("SecOpsMailbox", "Connect", "WhatIf", way=way, prepare="")
    assert ran.is_clean(), ran.said
    assert [name for name in (*GRANT, *SECOPS) if f'operation "{name}"' not in ran.said] == []
    assert ran.says(f"for {REPORTS}: Guid -eq '{guid_of(REPORTS)}'", "Nothing was changed (-WhatIf)")
    assert exchange.changes() == ran.done() == []


@both_ways
def test_a_run_opens_the_reporting_mailboxes_and_a_second_changes_nothing(exchange: Exchange, way: str) -> None:
    """The app can read the mailboxes named, folders or not, and not the control mailbox; a second run finds it so."""
    mailboxes = f"{REPORTS}/reports, {JUNK}"
    ran = exchange.run("SecOpsMailbox", mailboxes=mailboxes, way=way)
    assert ran.is_clean(), ran.said
    assert exchange.changes() == ran.done() == [*GRANT, *SECOPS]
    for address, readable in ((REPORTS, True), (JUNK, True), (CONTROL, False)):
        assert ran.says(f"{address} readable by the app: {readable}")
    again = exchange.run("SecOpsMailbox", mailboxes=mailboxes, way=way)
    assert again.is_clean(), again.said
    assert again.says(
        "stands: service principal", "stands: management scope", "stands: role", "stands: SecOps mailboxes"
    )
    assert exchange.changes() == again.done() == []


def test_run_undo_run(exchange: Exchange) -> None:
    """Undo leaves an empty tenant, a second undo says that it finds nothing, and the next run makes all of it again."""
    exchange.run("SecOpsMailbox")
    exchange.changes()
    ran = exchange.run("SecOpsMailbox", "Undo")
    assert ran.is_clean(), ran.said
    assert exchange.changes() == ran.done() == REMOVALS
    assert ran.says(f"Undone: {LABEL}")
    assert "stays" not in ran.said
    again = exchange.run("SecOpsMailbox", "Undo")
    assert again.is_clean(), again.said
    assert again.says(f"Nothing that is called '{LABEL}' was found")
    assert "Undone" not in again.said
    third = exchange.run("SecOpsMailbox")
    assert third.is_clean(), third.said
    assert exchange.changes() == [*GRANT, *SECOPS]


def test_the_scope_follows_the_list(exchange: Exchange) -> None:
    """Another list of mailboxes changes the scope, also to fewer; nothing else is made anew; what left is closed."""
    exchange.run(mailboxes=f"{REPORTS},{JUNK}")
    exchange.changes()
    ran = exchange.run(mailboxes=JUNK)
    assert ran.is_clean(), ran.said
    assert exchange.changes() == ran.done() == ["Set-ManagementScope"]
    assert ran.says(f"{JUNK} readable by the app: True", f"{REPORTS} readable by the app: False")


@both_ways
def test_what_if_changes_nothing_in_any_state(exchange: Exchange, way: str) -> None:
    """Empty, set up, with another list, with others' things: a dry run, also of undo, only reads and never fails."""
    states: list[dict[str, object]] = [
        {},
        {"principals": [POINTER], "policies": [policy(REPORTS)], "assignments": [assignment("by hand")]},
        {"policies": [policy("soc@contoso.com", REPORTS, comment=LABEL)], "rules": [RULE]},
    ]
    for state in states:
        exchange.change(**state)
        assert exchange.run("SecOpsMailbox", "WhatIf", way=way).is_clean()
        assert exchange.run("SecOpsMailbox", "Undo", "WhatIf", way=way).is_clean()
        exchange.change(policies=[], rules=[], assignments=[], principals=[])
    exchange.run("SecOpsMailbox", mailboxes=f"{REPORTS},{JUNK}")
    exchange.changes()
    for switches in ((), ("Undo",)):
        ran = exchange.run("SecOpsMailbox", "WhatIf", *switches, mailboxes=JUNK, control=REPORTS, way=way)
        assert ran.is_clean(), ran.said
    assert exchange.changes() == []


def test_what_if_of_the_session_counts(exchange: Exchange) -> None:
    """Whoever has set the preference and forgets the switch gets a dry run, and no change."""
    ran = exchange.run("SecOpsMailbox", first="$WhatIfPreference = $true")
    assert ran.is_clean(), ran.said
    assert ran.says('operation "New-ManagementScope"', "Nothing was changed (-WhatIf)")
    assert exchange.changes() == []


# Errors before the first change


@pytest.mark.parametrize("way", ["session", "file", "session WhatIf"])
@pytest.mark.parametrize(
    ("mailboxes", "control", "told"),
    [
        (f"{REPORTS},phsih@contoso.com", CONTROL, "phsih@contoso.com was not found"),
        ("phsih@contoso.com", CONTROL, "phsih@contoso.com was not found"),
        (REPORTS, "coe@contoso.com", "coe@contoso.com was not found"),
        ("phsih@contoso.com,jnuk@contoso.com", CONTROL, "jnuk@contoso.com was not found"),
        (REPORTS, REPORTS, "is a reporting mailbox"),
        (REPORTS, "report@contoso.com", "is a reporting mailbox"),
        (" , ", CONTROL, "No reporting mailbox was named"),
    ],
)
def test_a_wrong_mailbox_changes_nothing(exchange: Exchange, mailboxes: str, control: str, told: str, way: str) -> None:
    """Whichever mailbox is misspelt is named and nothing is changed; nor with a control mailbox that is no other."""
    start, *switches = way.split()
    ran = exchange.run(*switches, mailboxes=mailboxes, control=control, way=start)
    assert ran.failed
    assert ran.says(told), ran.said
    assert ("reporting mailbox." in ran.said) == (told == "is a reporting mailbox")
    assert exchange.changes() == []


@each_once_and_one_by_file(READS)
def test_whatever_cannot_be_read_changes_nothing(exchange: Exchange, way: str, cmdlet: str) -> None:
    """An error of any cmdlet that reads ends the run before the first change, with Exchange's words and the rights."""
    exchange.fault(cmdlet, "AccessDeniedException|You may not.")
    ran = exchange.run("SecOpsMailbox", way=way)
    assert ran.failed
    assert ran.says("You may not.", "Nothing was changed."), ran.said
    assert "Ex000000" not in ran.said
    assert (cmdlet == "Get-Mailbox") != ran.says("Organization Management, and Security Administrator")
    assert exchange.changes() == []


@both_ways
def test_not_signed_in(exchange: Exchange, tmp_path: Path, way: str) -> None:
    """Before sign-in it says how to sign in; without the module also how to get it; a refused sign-in is an error."""
    ran = exchange.run(way=way, prepare="")
    assert ran.failed
    assert ran.says("sign in first (-Connect); needs ExchangeOnlineManagement."), ran.said
    without = {**exchange.environment(), "PSModulePath": str(tmp_path)}
    for switches in ((), ("Connect",)):
        ran = exchange.run(*switches, way=way, prepare="", environment=without)
        assert ran.failed
        assert ran.says("sign in first (-Connect)", "Install-Module ExchangeOnlineManagement"), ran.said
    exchange.change(refusesSignIn="AADSTS50105: not you.")
    ran = exchange.run("Connect", way=way, prepare="")
    assert ran.failed
    assert ran.says("AADSTS50105", "Nothing was changed."), ran.said
    assert exchange.changes() == []


@both_ways
def test_wrong_rights_are_named(exchange: Exchange, way: str) -> None:
    """A session without some cmdlets is one of an account without those roles: which they are, and what it needs."""
    exchange.change(allowed=["Get-Mailbox"])
    ran = exchange.run("Connect", way=way, prepare="")
    assert ran.failed
    assert ran.says("New-ManagementScope", "role group Organization Management."), ran.said
    exchange.change(allowed=["*-Mailbox", "*-Management*", "*-ServicePrincipal*"])
    assert exchange.run("Connect", "WhatIf", way=way, prepare="").is_clean()
    ran = exchange.run("Connect", "SecOpsMailbox", way=way, prepare="")
    assert ran.failed
    assert ran.says("New-SecOpsOverridePolicy", "Security Administrator"), ran.said
    assert "New-ManagementScope" not in ran.said
    assert exchange.changes() == []


def test_a_scope_of_an_earlier_identity_is_named(exchange: Exchange) -> None:
    """Exchange refuses a second scope for the same mailboxes: the one that stands is named before any change."""
    earlier = {"Name": f"Defender Submissions {EARLIER}", "RecipientFilter": f"((Guid -eq '{guid_of(REPORTS)}'))"}
    exchange.change(scopes=[earlier])
    ran = exchange.run()
    assert ran.failed
    assert ran.says(EARLIER, "run -Undo with that one's ids first", "Nothing was changed"), ran.said
    assert exchange.changes() == []
    exchange.change(scopes=[])
    exchange.run(mailboxes=f"{REPORTS},{JUNK}")
    exchange.change(scopes=[*exchange.state()["scopes"], earlier], changes=[])
    ran = exchange.run()
    assert ran.failed
    assert ran.says(EARLIER)
    assert exchange.changes() == []
    assert exchange.run(mailboxes=f"{REPORTS},{JUNK}").is_clean()


# Errors on the way


@each_once_and_one_by_file([*GRANT, *SECOPS])
def test_a_change_that_is_refused_ends_the_run(exchange: Exchange, way: str, cmdlet: str) -> None:
    """What is done and what is not is said, whichever change fails; run again without the cause, it does the rest."""
    every = [*GRANT, *SECOPS]
    place = every.index(cmdlet)
    exchange.fault(cmdlet, "TransientException|Come back later.")
    ran = exchange.run("SecOpsMailbox", way=way)
    assert ran.failed
    assert exchange.changes() == ran.done() == every[:place]
    assert ran.says(f"{cmdlet} failed: Come back later.", f"Not done: {cmdlet} on"), ran.said
    assert ran.says("Done before it: New-ServicePrincipal on" if place else "Nothing was changed.")
    assert "readable by the app" not in ran.said
    exchange.change(faults=[])
    assert exchange.run("SecOpsMailbox", way=way).is_clean()
    assert exchange.changes() == every[place:]


@both_ways
def test_a_scope_that_cannot_be_narrowed_is_an_error(exchange: Exchange, way: str) -> None:
    """The app still reads the mailbox that left the list, so the run fails, refused or taken without effect."""
    exchange.run(mailboxes=f"{REPORTS},{JUNK}")
    exchange.changes()
    exchange.fault("Set-ManagementScope")
    ran = exchange.run(way=way)
    assert ran.failed
    assert ran.says("Set-ManagementScope failed: Not now.", "Nothing was changed."), ran.said
    exchange.change(faults=[], ignores=["Set-ManagementScope"])
    ran = exchange.run(way=way)
    assert ran.failed
    assert ran.says(f"The app has {ROLE} on {JUNK}"), ran.said


@both_ways
def test_what_cannot_be_tested_is_an_error(exchange: Exchange, way: str) -> None:
    """The control test, or a reporting mailbox's, that fails with an error or says neither yes nor no fails the run."""
    for address in (CONTROL, REPORTS):
        exchange.fault("Test-ServicePrincipalAuthorization", on=f"-Resource {address}")
        ran = exchange.run(way=way)
        assert ran.failed, address
        assert ran.says("Test-ServicePrincipalAuthorization failed: Not now."), ran.said
        assert f"{address} readable" not in ran.said
    exchange.change(faults=[])
    exchange.answer("Test-ServicePrincipalAuthorization", {"RoleName": ROLE, "InScope": "Not Run"}, on=CONTROL)
    ran = exchange.run(way=way)
    assert ran.failed
    assert ran.says(f"The app has {ROLE} on {CONTROL}"), ran.said


@pytest.mark.parametrize("role", ["Application EWS.AccessAsApp", ROLE, ""])
def test_an_open_control_mailbox_is_an_error(exchange: Exchange, role: str) -> None:
    """When the app may enter the control mailbox by another assignment, the run fails and names its role, if any."""
    exchange.change(assignments=[assignment("by hand", role)])
    ran = exchange.run()
    assert ran.failed
    assert ran.says(f"The app has {role or 'a role without a name'} on {CONTROL}"), ran.said


@both_ways
def test_a_reporting_mailbox_that_stays_closed_is_an_error(exchange: Exchange, way: str) -> None:
    """Each is told; one that the app cannot read, or that another role only lets it enter, fails the run."""
    exchange.change(ignores=["New-ManagementRoleAssignment"])
    for held in ([], [assignment("calendars", "Application Calendars.Read", LABEL)]):
        exchange.change(assignments=held)
        ran = exchange.run(way=way)
        assert ran.failed
        assert ran.says(f"{REPORTS} readable by the app: False", f"The app could not read {REPORTS}."), ran.said


@each_once_and_one_by_file(REMOVALS)
def test_an_undo_that_is_refused_removes_nothing_further(exchange: Exchange, way: str, cmdlet: str) -> None:
    """The first removal that fails ends it, with what is gone and what is not; the next undo takes up the rest."""
    place = REMOVALS.index(cmdlet)
    exchange.run("SecOpsMailbox")
    exchange.changes()
    exchange.fault(cmdlet)
    ran = exchange.run("SecOpsMailbox", "Undo", way=way)
    assert ran.failed
    assert exchange.changes() == ran.done() == REMOVALS[:place]
    assert ran.says(f"{cmdlet} failed: Not now.", f"Not done: {cmdlet} on"), ran.said
    assert "Undone" not in ran.said
    exchange.change(faults=[])
    assert exchange.run("SecOpsMailbox", "Undo", way=way).is_clean()
    assert exchange.changes() == REMOVALS[place:]


def test_undo_asks_exchange_afterwards(exchange: Exchange) -> None:
    """A removal that Exchange takes without an error, and does not make, is an error."""
    for cmdlet in REMOVALS[:3]:
        exchange.change(ignores=[], faults=[])
        exchange.run()
        exchange.change(ignores=REMOVALS[:3], changes=[])
        exchange.change(ignores=[cmdlet])
        ran = exchange.run("Undo")
        assert ran.failed
        assert ran.says(cmdlet), ran.said
        assert "Undone" not in ran.said
        exchange.change(principals=[], scopes=[], assignments=[])


def test_undo_keeps_the_pointer_while_it_cannot_ask(exchange: Exchange) -> None:
    """Whether others' assignments hang on the pointer must be known; the role and the scope are gone by then."""
    exchange.run()
    exchange.changes()
    exchange.fault("Test-ServicePrincipalAuthorization")
    ran = exchange.run("Undo")
    assert ran.failed
    assert exchange.changes() == REMOVALS[:2]
    assert ran.says("Not done: Remove-ServicePrincipal"), ran.said


# What others made


def test_undo_leaves_what_others_made_and_names_it(exchange: Exchange) -> None:
    """Another's pointer to the app, another's policy and another's addresses in it stay; the pointer is named."""
    soc = policy("soc@contoso.com")
    exchange.change(principals=[POINTER], policies=[soc], rules=[RULE])
    assert exchange.run("SecOpsMailbox").is_clean()
    assert exchange.changes() == [*GRANT[1:], "Set-SecOpsOverridePolicy"]
    ran = exchange.run("SecOpsMailbox", "Undo")
    assert ran.is_clean(), ran.said
    assert ran.says("stays: service principal", "somebody else's", f"Undone: {LABEL}")
    assert (exchange.state()["principals"], exchange.state()["policies"]) == ([POINTER], [soc])


def test_undo_never_deletes_anothers_policy(exchange: Exchange) -> None:
    """A policy of somebody else stays also where it holds no mailbox but ours, and is named."""
    other = policy(REPORTS, comment="made by the SOC")
    exchange.change(policies=[other], rules=[RULE])
    exchange.run("SecOpsMailbox")
    exchange.changes()
    ran = exchange.run("SecOpsMailbox", "Undo")
    assert ran.is_clean(), ran.said
    assert exchange.changes() == REMOVALS[:3]
    assert exchange.state()["policies"] == [other]
    assert ran.says("stays: SecOpsOverridePolicy, which somebody else made", REPORTS)


@both_ways
def test_undo_names_assignments_made_by_hand(exchange: Exchange, way: str) -> None:
    """What else lets the app in stays with its name, and so does the pointer that it hangs on."""
    exchange.run()
    by_hand = [assignment("all of it"), assignment("the calendars", "Application Calendars.Read")]
    exchange.change(assignments=[*exchange.state()["assignments"], *by_hand], changes=[])
    ran = exchange.run("Undo", way=way)
    assert ran.is_clean(), ran.said
    assert exchange.changes() == REMOVALS[:2]
    assert ran.says(f"{ROLE} in scope 'Organization', assignment 'all of it'", "assignment 'the calendars'"), ran.said
    assert ran.says(f"stays: {OBJECT}")
    assert exchange.state()["assignments"] == by_hand


# Advanced delivery


def test_an_address_is_entered_once_and_as_the_primary_one(exchange: Exchange) -> None:
    """Two folders, an alias, other capitals: one mailbox, one entry, one clause of the filter."""
    ran = exchange.run("SecOpsMailbox", mailboxes=f"{REPORTS}/a,{REPORTS}/b,report@contoso.com,PHISH@contoso.com")
    assert ran.is_clean(), ran.said
    assert exchange.sent_to() == [REPORTS]
    assert exchange.state()["scopes"][0]["RecipientFilter"].count("Guid") == 1
    assert exchange.run("SecOpsMailbox", "Undo", mailboxes="report@contoso.com").done() == REMOVALS


def test_an_alias_that_an_earlier_run_entered_is_replaced(exchange: Exchange) -> None:
    """In a policy that the script made the primary address takes the place of the alias; undo finds either."""
    exchange.change(policies=[policy("report@contoso.com", comment=LABEL)], rules=[RULE])
    ran = exchange.run("SecOpsMailbox")
    assert ran.is_clean(), ran.said
    assert exchange.sent_to() == [REPORTS]
    exchange.change(policies=[policy("report@contoso.com", comment=LABEL)])
    assert exchange.run("SecOpsMailbox", "Undo").done() == REMOVALS


def test_a_mailbox_that_left_the_list_leaves_advanced_delivery(exchange: Exchange) -> None:
    """With the switch it is taken out of the script's own policy; without, and in another's policy, it is named."""
    exchange.run("SecOpsMailbox", mailboxes=f"{REPORTS},{JUNK}")
    told = exchange.run()
    assert told.is_clean(), told.said
    assert told.says(f"stays in advanced delivery: {JUNK}.")
    again = exchange.run("SecOpsMailbox")
    assert again.says(f"stays in advanced delivery: {JUNK}.")  # by now nobody knows that it was a reporting mailbox
    exchange.run("SecOpsMailbox", mailboxes=f"{REPORTS},{JUNK}")
    exchange.changes()
    taken = exchange.run("SecOpsMailbox")
    assert exchange.changes() == taken.done() == ["Set-ManagementScope", "Set-SecOpsOverridePolicy"]
    assert exchange.sent_to() == [REPORTS]
    exchange.run(mailboxes=f"{REPORTS},{JUNK}")
    exchange.change(policies=[policy(REPORTS, JUNK)])
    others = exchange.run("SecOpsMailbox")
    assert others.says(f"stays in advanced delivery: {JUNK}.")
    assert exchange.sent_to() == [REPORTS, JUNK]


def test_undo_without_the_switch_names_what_stays_in_advanced_delivery(exchange: Exchange) -> None:
    """It is taken out with the switch only; where the account may not read it, undo works all the same."""
    exchange.run("SecOpsMailbox")
    exchange.changes()
    ran = exchange.run("Undo")
    assert ran.is_clean(), ran.said
    assert exchange.changes() == REMOVALS[:3]
    assert ran.says(f"stays in advanced delivery: {REPORTS}.")
    exchange.run()
    exchange.fault("Get-SecOpsOverridePolicy")
    assert exchange.run("Undo").done() == REMOVALS[:3]


def test_undo_takes_ours_out_of_a_policy_that_others_use_too(exchange: Exchange) -> None:
    """The script's own policy stays when it holds another's address by now."""
    exchange.change(mailboxes=[*exchange.state()["mailboxes"], mailbox("soc@contoso.com")])
    exchange.run("SecOpsMailbox")
    exchange.change(policies=[policy("soc@contoso.com", REPORTS, comment=LABEL)], changes=[])
    ran = exchange.run("SecOpsMailbox", "Undo")
    assert exchange.changes() == [*REMOVALS[:3], "Set-SecOpsOverridePolicy"]
    assert exchange.sent_to() == ["soc@contoso.com"]
    assert ran.says("stays in advanced delivery: soc@contoso.com.")


def test_what_is_about_to_be_deleted_counts_as_gone(exchange: Exchange) -> None:
    """Exchange lists a policy and its rule for a while after removal: a run makes new ones, an undo leaves them."""
    gone = [{**policy(REPORTS, comment=LABEL), "Mode": "PendingDeletion"}]
    rules = [{"Name": "_Exe:SecOpsOverrid:0", "Mode": "PendingDeletion"}]
    exchange.change(policies=gone, rules=rules)
    assert exchange.run("SecOpsMailbox", "Undo").done() == []
    assert exchange.run("SecOpsMailbox").done() == [*GRANT, *SECOPS]


def test_undo_works_for_a_mailbox_that_is_gone(exchange: Exchange) -> None:
    """What is left of a deleted mailbox is found by the address as written, and only advanced delivery needs it."""
    exchange.run("SecOpsMailbox")
    exchange.change(mailboxes=[mailbox(CONTROL)])
    ran = exchange.run("SecOpsMailbox", "Undo")
    assert ran.is_clean(), ran.said
    assert ran.done() == REMOVALS
    assert ran.says(f"{REPORTS} was not found")
    assert f"{REPORTS} was not found" not in exchange.run("Undo").said


# The mailbox that answers come from


@pytest.fixture
def answering(exchange: Exchange) -> Exchange:
    """Return a tenant that also has a mailbox for answers, and another one."""
    exchange.change(mailboxes=[*exchange.state()["mailboxes"], mailbox(ANSWERS), mailbox("new-answers@contoso.com")])
    return exchange


def test_answers_get_two_roles_on_one_mailbox(answering: Exchange) -> None:
    """To send from it and to read what was sent, there and nowhere else; a second run changes nothing, undo all."""
    ran = answering.run(FEEDBACK)
    assert ran.is_clean(), ran.said
    assert answering.changes() == ran.done() == [*GRANT, GRANT[1], GRANT[2], GRANT[2]]
    scopes = {one["Name"]: one["RecipientFilter"] for one in answering.state()["scopes"]}
    assert scopes == {LABEL: f"(Guid -eq '{guid_of(REPORTS)}')", f"{LABEL} sends": f"(Guid -eq '{guid_of(ANSWERS)}')"}
    granted = {(one["Role"], one["CustomResourceScope"]) for one in answering.state()["assignments"]}
    assert granted == {(ROLE, LABEL), (ROLE, f"{LABEL} sends"), (SEND_ROLE, f"{LABEL} sends")}
    for address, sends in ((ANSWERS, True), (REPORTS, False)):
        assert ran.says(f"{address} sends the app's mail: {sends}", f"{address} readable by the app: True")
    assert ran.says(f"{CONTROL} readable by the app: False")
    again = answering.run(FEEDBACK)
    assert (again.is_clean(), again.done()) == (True, [])
    undone = answering.run("Undo")
    assert undone.is_clean(), undone.said
    assert undone.done() == [*[REMOVALS[0]] * 3, *[REMOVALS[1]] * 2, REMOVALS[2]]
    assert "stays" not in undone.said


def test_answers_from_another_mailbox_close_the_one_before(answering: Exchange) -> None:
    """The scope follows the option; a run without it leaves the roles and names them."""
    answering.run(FEEDBACK)
    answering.changes()
    ran = answering.run("FeedbackMailbox new-answers@contoso.com")
    assert ran.is_clean(), ran.said
    assert answering.changes() == ["Set-ManagementScope"]
    assert ran.says(f"{ANSWERS} readable by the app: False", "new-answers@contoso.com sends the app's mail: True")
    without = answering.run()
    assert (without.is_clean(), without.done()) == (True, [])
    assert without.says("stays: the app may send mail")


@pytest.mark.parametrize("address", [REPORTS, "report@contoso.com", CONTROL, "nobody@contoso.com"])
def test_answers_need_a_mailbox_of_their_own(answering: Exchange, address: str) -> None:
    """A reporting mailbox, the control mailbox and one that is not there change nothing."""
    ran = answering.run(f"FeedbackMailbox {address}")
    assert ran.failed
    assert ran.says(address, "Nothing was changed."), ran.said
    assert answering.changes() == []


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ([assignment("by hand", "Application Mail.Send")], f"The app has Application Mail.Send on {REPORTS}"),
        (
            [assignment("by hand", "Application EWS.AccessAsApp")],
            f"The app has Application EWS.AccessAsApp on {CONTROL}",
        ),
    ],
)
def test_whoever_else_the_app_may_send_as_is_an_error(
    answering: Exchange, held: list[dict[str, object]], told: str
) -> None:
    """Also where feedback is off: Exchange says what the app may do on each mailbox, by whichever assignment."""
    answering.change(assignments=held)
    for switches in ((FEEDBACK,), ()):
        ran = answering.run(*switches)
        assert ran.failed
        assert ran.says(told), ran.said


def test_a_mailbox_that_cannot_answer_yet_is_an_error(answering: Exchange) -> None:
    """Which of the two roles Exchange does not tell of is named."""
    answering.change(ignores=["New-ManagementRoleAssignment"], assignments=[assignment(LABEL, scope=LABEL)])
    ran = answering.run(FEEDBACK)
    assert ran.failed
    assert ran.says(f"The app could not read {ANSWERS}. The app could not send from {ANSWERS}."), ran.said


# Sessions, answers and names of all kinds


@both_ways
@pytest.mark.parametrize("preference", ["Continue", "SilentlyContinue", "Stop"])
def test_the_preference_of_the_session_is_as_before(exchange: Exchange, way: str, preference: str) -> None:
    """Whatever the session does with errors, the run stops at the first; afterwards it is as it was."""
    prepare = f"{SIGNED_IN}; $ErrorActionPreference = '{preference}'"
    ran = exchange.run(way=way, prepare=prepare)
    assert (ran.failed, ran.after, exchange.changes()) == (False, preference, GRANT)
    exchange.change(scopes=[], assignments=[])
    exchange.fault("New-ManagementScope")
    ran = exchange.run(way=way, prepare=prepare)
    assert (ran.after, exchange.changes()) == (preference, [])


@pytest.mark.parametrize("preference", ["SilentlyContinue", "Continue"])
def test_errors_cannot_be_silenced(exchange: Exchange, preference: str) -> None:
    """Whoever calls the script with -ErrorAction of another kind gets no run that goes on after an error.

    Nor does an error go unheard of somebody's own function around a cmdlet, which sees what the script sees.
    """
    for mailboxes in (f"{REPORTS},phsih@contoso.com", ","):
        ran = exchange.run(f"ErrorAction {preference}", mailboxes=mailboxes)
        assert (ran.failed, ran.done(), exchange.changes()) == (True, [], [])
    around = "function New-ManagementScope([string] $Name, [string] $RecipientRestrictionFilter) { Write-Error 'No.' }"
    ran = exchange.run(f"ErrorAction {preference}", prepare=f"{SIGNED_IN}; {around}")
    assert ran.failed
    assert ran.done() == exchange.changes() == GRANT[:1]


def test_a_run_that_is_stopped_restores_the_preference(exchange: Exchange) -> None:
    """As by Ctrl-C, in the middle of a call to Exchange."""
    exchange.change(waits=["New-ManagementScope"])
    ran = exchange.run(stopAt=f"{exchange.file}.waits", prepare=f"{SIGNED_IN}; $ErrorActionPreference = 'Continue'")
    assert ran.after == "Continue"
    assert exchange.changes() == ran.done() == ["New-ServicePrincipal"]


@pytest.mark.parametrize("first", ["Set-StrictMode -Version Latest", "[cultureinfo]::CurrentCulture = 'tr-TR'"])
def test_strict_and_turkish_sessions(exchange: Exchange, first: str) -> None:
    """Neither a strict caller nor one whose capital of i is no I changes what the script does."""
    info = "INFO@CONTOSO.COM"
    exchange.change(mailboxes=[mailbox("info@contoso.com"), mailbox(JUNK), mailbox(CONTROL)])
    for mailboxes, changes in (
        (f"{info},{JUNK}", [*GRANT, *SECOPS]),
        (info, ["Set-ManagementScope", "Set-SecOpsOverridePolicy"]),
    ):
        for expected in (changes, []):
            ran = exchange.run("SecOpsMailbox", first=first, mailboxes=mailboxes)
            assert ran.is_clean(), ran.said
            assert exchange.changes() == expected
    undone = exchange.run("SecOpsMailbox", "Undo", first=first, mailboxes=info)
    assert undone.is_clean(), undone.said
    assert undone.done() == REMOVALS


def test_null_one_or_many_answers(exchange: Exchange) -> None:
    """Nothing, $null, a row beside others': each is what it is; several mailboxes for one name are an error."""
    many = {
        "Get-ServicePrincipal": {**POINTER, "ObjectId": EARLIER},
        "Get-ManagementScope": {"Name": "another", "RecipientFilter": "City -eq 'Ulm'"},
        "Get-ManagementRoleAssignment": {"Name": "another", "Role": ROLE},
        "Get-SecOpsOverridePolicy": {**policy(REPORTS), "Mode": "PendingDeletion"},
        "Get-ExoSecOpsOverrideRule": {**RULE, "Mode": "PendingDeletion"},
    }
    for kind in ("nothing", "null", "many"):
        objects = {name: {"nothing": [], "null": [None], "many": [None, one, one]}[kind] for name, one in many.items()}
        answers = [{"cmdlet": name, "objects": found} for name, found in objects.items()]
        exchange.change(answers=answers, principals=[], scopes=[], assignments=[], policies=[], rules=[])
        ran = exchange.run("SecOpsMailbox")
        assert ran.is_clean(), ran.said
        assert exchange.changes() == [*GRANT, *SECOPS]
        assert exchange.run("SecOpsMailbox", "Undo").done() == []
    for found_objects in ([None], []):
        exchange.answer("Get-Mailbox", *found_objects)
        ran = exchange.run()
        assert ran.failed
        assert ran.says(f"{REPORTS} was not found"), ran.said
    exchange.change(
        answers=[], mailboxes=[mailbox(REPORTS, name="twins"), mailbox(JUNK, name="twins"), mailbox(CONTROL)]
    )
    ran = exchange.run(mailboxes="twins")
    assert ran.failed
    assert ran.says("twins stands for 2 mailboxes"), ran.said
    assert exchange.changes() == []


@pytest.mark.parametrize("address", ["o'neil@contoso.com", "prüfung@contoso.com", "報告@contoso.com"])
def test_names_of_all_kinds(exchange: Exchange, address: str) -> None:
    """An apostrophe, an umlaut, Japanese: found, entered, told and taken out as they are written."""
    exchange.change(mailboxes=[mailbox(address, name=f"Mailbox {address}"), mailbox(CONTROL)])
    ran = exchange.run("SecOpsMailbox", mailboxes=address)
    assert ran.is_clean(), ran.said
    assert ran.says(f"{address} readable by the app: True")
    assert exchange.sent_to() == [address]
    assert exchange.run("SecOpsMailbox", mailboxes=f"Mailbox {address}").done() == []
    assert exchange.run("SecOpsMailbox", "Undo", mailboxes=address).done() == REMOVALS


@both_ways
def test_exit_codes(exchange: Exchange, way: str) -> None:
    """A process of its own ends with 0 after a run and with 1 after an error, by -File as by -Command."""
    assert exchange.process("SecOpsMailbox", way=way)[0] == 0
    assert exchange.changes() == [*GRANT, *SECOPS]
    exchange.fault("Remove-ManagementScope")
    code, said = exchange.process("SecOpsMailbox", "Undo", way=way)
    assert (code, exchange.changes()) == (1, REMOVALS[:1])
    assert "Remove-ManagementScope failed: Not now." in said


def test_a_change_that_is_declined_is_left_out(exchange: Exchange) -> None:
    """With -Confirm each change is asked about; what was answered with no is not made and is told."""
    code, said = exchange.process("Confirm", answers="y\nn\nn\n")
    assert (code, exchange.changes()) == (1, GRANT[:1])
    assert [line.split()[:3] for line in said.splitlines() if line.startswith("left out: ")] == [
        ["left", "out:", name] for name in GRANT[1:]
    ]
    assert f"The app could not read {REPORTS}" in " ".join(said.split())


# What is said of it


def test_help_is_the_whole_help(exchange: Exchange) -> None:
    """Get-Help shows the description and each parameter, with what holds of rights, module and mail from inside."""
    ran = exchange.run(first=f"Get-Help '{SCRIPT}' -Full | Out-String -Width 9999; return")
    assert ran.is_clean()
    assert ran.says(
        "by RBAC for Applications", "Client id (application id)", "Takes back what a run", "Prints every change"
    )
    assert ran.says("Organization Management", "Security Administrator", "3.10.0 on need PowerShell 7.6")
    assert ran.says("inside the tenant", "anti-spam policy", "run -Undo")


def test_the_guide_says_what_holds() -> None:
    """The administrators' page names both roles, PowerShell's version, mail from inside, the way to a new identity."""
    guide = " ".join(DEPLOY.read_text().split())
    for text in ("Organization Management", "Security Administrator", "PowerShell 7.6", "anti-spam policy"):
        assert text in guide, text
    rotation = guide[guide.index("## Rotation") : guide.index("## Removal")]
    assert "exchange-access.ps1 -Undo` with the old ids" in rotation


def test_the_stand_in_is_as_exchange_is(exchange: Exchange) -> None:
    """Its errors do not stop a script that is called in a session, and it refuses -ErrorAction where Exchange does."""
    script = f"{exchange.file}.ps1"
    Path(script).write_text("$ErrorActionPreference = 'Stop'; Get-Mailbox -Identity nobody; 'went on'")
    ran = exchange.run(first=f"& '{script}'; return")
    assert (ran.failed, ran.says("went on", "couldn't be found")) == (False, True)
    ran = exchange.run(first="Get-ExoSecOpsOverrideRule -ErrorAction Stop; return")
    assert ran.says("not present in the role definition")
    assert STUB.is_file()
