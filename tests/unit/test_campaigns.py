"""Campaigns: copies of one mail are recognised, and nothing an attacker copies joins a mail that leads elsewhere."""

import base64
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.campaigns import (
    SKETCH,
    Fingerprint,
    UnreadableFingerprint,
    belongs,
    decode,
    distance,
    encode,
    similarity,
)
from shared.domain.fingerprinting import MAX_TEXT, fingerprint, organisation_of_host, sender_organisation

SENTENCES = (
    "Dear colleague, the quarterly report of our regional offices has been published this morning.",
    "Sales in the northern region have grown faster than anybody on the board expected last spring.",
    "Several new customers asked for longer contracts and were offered a discount in return.",
    "The warehouse team moved into the renovated building without losing a single working day.",
    "Please remember that travel expenses must reach the accounting department before Friday evening.",
    "Our canteen will serve a vegetarian menu every Tuesday beginning with the coming month.",
    "Parking behind the main entrance stays closed while the fire brigade inspects the hydrants.",
    "Two apprentices finished their training with honours and will join the service desk.",
    "The works council invites everybody to its annual meeting in the large auditorium.",
    "With kind regards, the communication team of the company wishes you a pleasant week.",
)
LETTER = " ".join(SENTENCES)
NOTE = "Your parcel could not be delivered today because nobody was at home. Please confirm your address with us."
SPOOF = "We noticed an unusual payment from your account and ask you to verify it with our fraud department at once."
JAPANESE = (
    "お客様各位。いつも当社のサービスをご利用いただきまして誠にありがとうございます。"
    "このたびシステムの保守作業を実施いたしますので、事前にお知らせいたします。"
    "作業中は一部の機能がご利用いただけません。ご不便をおかけいたしますが、何卒ご理解ください。"
    "作業の終了後は、改めてログインをお願いいたします。今後ともよろしくお願い申し上げます。"
)
THAI = (
    "เรียนลูกค้าทุกท่าน บริษัทขอแจ้งให้ทราบว่าระบบจะปิดปรับปรุงในคืนวันศุกร์ "
    "ระหว่างการปรับปรุงท่านจะไม่สามารถใช้บริการบางส่วนได้ กรุณาวางแผนล่วงหน้า "
    "หลังจากการปรับปรุงเสร็จสิ้น กรุณาเข้าสู่ระบบอีกครั้ง ขอขอบคุณที่ใช้บริการของเรา"
)

any_text = st.text(st.characters(exclude_categories=[]), max_size=200)
hosts = st.lists(st.sampled_from(["a.example", "b.example", "10.0.0.1", "x.github.io", ""]), max_size=4)


def make(text: str = LETTER, **changes: Any) -> Fingerprint:
    """Return the fingerprint of a mail with this text, else always the same one."""
    mail: dict[str, Any] = {
        "claim": "phishing",
        "sender": "news@mail.sender.example",
        "authentication": "pass",
        "subject": "News of the quarter",
        "links": ["www.shop.example"],
        "attachments": ["ab" * 32],
        "internet_message_id": None,
        "network_message_id": None,
        "recipient": "maria.rossi@contoso.com",
    }
    made = fingerprint(text=text, **mail | changes)
    assert made is not None
    return made


def rewrite(position: int, sentence: str) -> str:
    """Return the letter with another sentence in that place."""
    return " ".join([*SENTENCES[:position], sentence, *SENTENCES[position + 1 :]])


# --- What one campaign is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        (f"{LETTER} Code 481516.", f"{LETTER} Code 2342."),
        (f"{LETTER} Due 12.08.2026: 1,250.00 EUR.", f"{LETTER} Due 3.9.2026: 99 EUR."),
        (f"{LETTER} Ticket a81kz-77qp.", f"{LETTER} Ticket zz91m-0c2d."),
        (f"{LETTER} Ref QWxhZ2RpbjpvcGVuIHNlcb", f"{LETTER} Ref UGFzcu4vcmRPZlRoZVVzZX"),
        (
            f"{LETTER} Id 1c9b6f0e-5e0c-4f5d-8f4e-0d3b8f7a6c51 2026-11-30T12:00:00.000+01:00",
            f"{LETTER} Id 77aa6f0e-5e0c-4f5d-8f4e-0d3b8f7a6c99 2026-12-01T08:15:00.000+01:00",
        ),
        (f"{LETTER} https://www.shop.example/a?t=1#x", f"{LETTER} https://www.shop.example/bb?u=99"),
        (LETTER, LETTER.upper()),
        (LETTER, LETTER.replace(" ", "\u00a0\r\n\t")),
        (LETTER, "\u200b".join(LETTER) + "\ufeff\u00ad\u2060"),
        ("\uff4f\uff46\uff46\uff49\uff43\uff45 " + LETTER, "office " + LETTER),
        (JAPANESE + "番号1234", JAPANESE + "番号987"),
    ],
)
def test_what_differs_from_copy_to_copy_does_not_count(text: str, variant: str) -> None:
    """Numbers, dates, tokens, link paths, case, spacing, invisible marks and letter forms change nothing."""
    assert belongs(make(text), make(variant))
    assert similarity(make(text), make(variant)) == 1


@pytest.mark.parametrize(
    ("recipient", "name"),
    [("anna.berg@contoso.com", "Anna Berg"), ("okafor7@contoso.com", "OKAFOR"), ("j.li-chan@contoso.com", "Chan")],
)
def test_the_recipient_does_not_count(recipient: str, name: str) -> None:
    """Address, local part and the names in it may be any recipient's, in the subject and in the text."""

    def make_for(recipient: str, name: str) -> Fingerprint:
        user = recipient.partition("@")[0]
        text = f"Hello {name}, we write to {recipient}. {LETTER} {name}, your user is {user}."
        return make(text, subject=f"{name}, news", recipient=recipient)

    one, other = make_for(recipient, name), make_for("maria.rossi@contoso.com", "Maria Rossi")
    assert similarity(one, other) == 1
    assert belongs(one, other)


@pytest.mark.parametrize("position", range(10))
def test_one_new_sentence_in_ten_still_joins(position: int) -> None:
    """A letter with any one of its ten sentences replaced is of the same campaign."""
    assert belongs(
        make(), make(rewrite(position, "Winter tyres for company cars are changed in the yard from October."))
    )


def test_three_new_sentences_in_ten_do_not_join() -> None:
    """A letter of which almost a third is new is another one."""
    changed = " ".join([*SENTENCES[:7], NOTE, SPOOF])
    assert 0.4 < similarity(make(), make(changed)) < 0.72
    assert not belongs(make(), make(changed))


@pytest.mark.parametrize("text", [NOTE, "Hello, are you at your desk?", JAPANESE[:60], THAI[:75]])
@pytest.mark.parametrize(
    "added", ["Buy gift cards for the whole team and keep it a secret.", "至急、振込先の口座を変更してください。"]
)
def test_a_sentence_added_to_a_short_text_does_not_join(text: str, added: str) -> None:
    """In a short text each sentence may be what the mail is about."""
    assert not belongs(make(text), make(f"{text} {added}"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Are you there?", "Are you here?"),
        ("", "Hi"),
        ("請確認", "請匯款"),
        ("do you still have the old contract", "do you still have the old contract signed"),
    ],
)
def test_a_text_of_a_few_words_joins_only_its_equal(one: str, other: str) -> None:
    """Below a dozen shingles one word decides."""
    assert belongs(make(one, subject="Hi"), make(one, subject="Hi"))
    assert not belongs(make(one, subject="Hi"), make(other, subject="Hi"))


@pytest.mark.parametrize("text", [JAPANESE, THAI])
def test_languages_without_spaces_are_compared_by_parts_of_sentences(text: str) -> None:
    """A changed clause leaves most of a text alike, another text does not."""
    words = text.split("。") if "。" in text else text.split(" ")
    changed = text.replace(words[2], words[2][: len(words[2]) // 2])
    assert changed != text
    assert 0.6 < similarity(make(text), make(changed)) < 1
    backwards = text[::-1]
    assert similarity(make(text), make(backwards)) < 0.1


def test_the_order_of_links_and_attachments_does_not_count() -> None:
    """Links and attachments are sets: order and repetition do not matter."""
    one = make(links=["a.example", "b.example"], attachments=["aa", "bb"])
    assert one == make(links=["b.example", "a.example", "b.example"], attachments=["bb", "aa"])


def test_subdomains_of_sender_and_link_do_not_count() -> None:
    """Many campaigns vary the host below the organisation that answers for it."""
    assert belongs(make(links=["t1.mail.shop.example"]), make(links=["zz.shop.example"]))
    assert belongs(make(sender="a@eu.sender.example"), make(sender="b@us.sender.example"))


@pytest.mark.parametrize(
    "nothing", [{"sender": None}, {"sender": ""}, {"links": [], "attachments": []}, {"sender": None, "links": []}]
)
def test_without_a_sender_or_content_there_is_nothing_to_compare(nothing: dict[str, Any]) -> None:
    """A mail without sender, or of nothing but a subject, is no member of anything."""
    mail: dict[str, Any] = {"sender": "a@b.example", "links": ["c.example"], "attachments": ["aa"]} | nothing
    ids: dict[str, Any] = {
        "internet_message_id": "<1@b.example>",
        "network_message_id": None,
        "recipient": "a@c.example",
    }
    text = LETTER if nothing.get("links") is None else " \n"
    assert fingerprint(claim="spam", authentication="pass", subject="Hi", text=text, **mail, **ids) is None


# --- Attacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attack", "changes"),
    [
        ("clone with another link organisation", {"links": ["www.sh0p.example"]}),
        ("clone with a link more", {"links": ["www.shop.example", "evil.example"]}),
        ("clone that links to a bare IP address", {"links": ["203.0.113.7"]}),
        ("clone with another attachment", {"attachments": ["cd" * 32]}),
        ("clone with an attachment more", {"attachments": ["ab" * 32, "cd" * 32]}),
        ("clone without the attachment", {"attachments": []}),
        ("clone with failed authentication", {"authentication": "fail"}),
        ("clone from a lookalike sender", {"sender": "news@mail.sender-example.example"}),
        ("clone reported for the opposite reason", {"claim": "notJunk"}),
    ],
)
def test_a_clone_is_told_from_what_it_clones(attack: str, changes: dict[str, Any]) -> None:
    """The same words under the same ids do not join a mail that leads or comes from elsewhere."""
    ids = {"internet_message_id": "<1@sender.example>", "network_message_id": "11111111-2222-3333-4444-555555555555"}
    assert belongs(make(**ids), make(**ids)), attack
    assert not belongs(make(**ids), make(**ids | changes)), attack


@pytest.mark.parametrize(
    ("attack", "ending", "other"),
    [
        ("another telephone number", "Call +1 (888) 555-0199.", "Call +1 (888) 555-0142."),
        ("another toll-free number", "Call 1-888-555-0199.", "Call 1-888-555-0142."),
        ("another British number", "Call 0800 123 4567.", "Call 0800 765 4321."),
        ("another number in one piece", "Call 08005551234.", "Call 08005557777."),
        ("another number without blanks", "Ask (888)555-0199.", "Ask (888)555-0142."),
        ("another number with a long dash", "Ask 888\u2013555\u20130199.", "Ask 888\u2013555\u20130142."),
        ("another number in other digits", "Ask \u0660\u0668\u0660\u0660\u0661\u0662\u0663\u0664\u0665\u0666.", "Ask."),
        ("another number grouped as nobody does", "Call us on 8008 555 19.", "Call us on 8008 555 42."),
        ("another number in letters", "Ask 1-800-GOOD-NOW.", "Ask 1-800-LURE-NOW."),
        ("another host in brackets", "Visit good[.]click today.", "Visit lure[.]click today."),
        ("another host in words", "Visit good dot click today.", "Visit lure dot click today."),
        ("another address in words", "Write to a (at) good.example.", "Write to a (at) lure.example."),
        ("another name to pay to", "Send it to desk@goodpay.", "Send it to desk@lurepay."),
        ("another name to write to", "Find us as @gooddesk.", "Find us as @luredesk."),
        ("a telephone number where none was", "Call us.", "Call 888-555-0199."),
        ("another bank account", "Pay to DE89370400440532013000 please.", "Pay to GB29NWBK60161331926819 please."),
        ("another bank account in groups", "Pay to BE68 5390 0754 7034 now.", "Pay to BE71 0961 2345 6769 now."),
        ("another address to write to", "Write to help@sender.example.", "Write to help@sender-desk.example."),
        ("another free mailbox", "Write to helpdesk1@gmail.com.", "Write to helpdesk2@gmail.com."),
        ("a host without a link", "Visit www.shop.com today.", "Visit www.sh0p.com today."),
    ],
)
def test_a_clone_that_wants_an_answer_elsewhere_is_told(attack: str, ending: str, other: str) -> None:
    """Who is to be called, paid or written to counts like a link, however long the text that was copied."""
    assert belongs(make(f"{LETTER} {ending}"), make(f"{LETTER} {ending}")), attack
    assert not belongs(make(f"{LETTER} {ending}"), make(f"{LETTER} {other}")), attack


@pytest.mark.parametrize(
    "one",
    [
        "on 12.08.2026 at 10:30",
        "2026-08-12 08:00",
        "order 302-1234567-1234567",
        "no. 0012-3456789",
        "1 250 000,00 EUR",
        "token DE11370400440532013000",
    ],
)
def test_other_numbers_are_not_taken_for_telephones(one: str) -> None:
    """Dates, amounts and order numbers differ from copy to copy and must not split a campaign."""
    other = one.replace("1", "7").replace("2026", "2027")
    assert belongs(make(f"{LETTER} {one}"), make(f"{LETTER} {other}"))


def test_what_follows_a_telephone_number_is_no_part_of_it() -> None:
    """The length of a call in brackets differs from copy to copy."""
    assert belongs(make(f"{LETTER} +31 20 1840332 (48 sec)"), make(f"{LETTER} +31 20 1840332 (52 sec)"))


def test_a_forged_message_id_with_other_text_does_not_join() -> None:
    """Whoever copies a Message-ID gets no other mail's verdict."""
    ids = {"internet_message_id": "<1@sender.example>"}
    assert not belongs(make(**ids), make(SPOOF, **ids))
    assert not belongs(make(NOTE, **ids), make(SPOOF, **ids))
    assert not belongs(make(**ids), make(" ".join(reversed(LETTER.split())), **ids))


def test_a_forged_network_message_id_with_other_text_does_not_join() -> None:
    """Whoever copies a network message id gets no other mail's verdict."""
    ids = {"network_message_id": "11111111-2222-3333-4444-555555555555"}
    assert not belongs(make(**ids), make(SPOOF, **ids))
    assert not belongs(make("Are you there?", **ids), make("Are you rich?", **ids))


def test_a_shared_id_lets_the_text_differ_more() -> None:
    """Copies of one sending that gateways wrote banners into still join; without a shared id they do not."""
    banner = "Caution, this message came from outside. Do not open anything unless you know who wrote it."
    ids = {"network_message_id": "11111111-2222-3333-4444-555555555555"}
    short, long = " ".join(SENTENCES[:3]), " ".join(SENTENCES[:8])
    for text, marked in [(short, f"{banner} {short}"), (long, f"{banner} {SPOOF} {NOTE} {long}")]:
        assert belongs(make(text, **ids), make(marked, **ids))
        assert not belongs(make(text), make(marked))


@pytest.mark.parametrize("sender", ["no-reply@dropbox.com", "service@paypal.com", "dse@eumail.docusign.net"])
def test_an_attack_through_a_service_is_told_from_honest_use_of_it(sender: str) -> None:
    """Services write what strangers say with the same links and good authentication: the words have to be equal."""
    honest = make(f"Anna Berg shared the folder plans with you. {LETTER}", sender=sender)
    assert belongs(honest, make(f"Anna Berg shared the folder plans with you. {LETTER} ", sender=sender))
    assert not belongs(honest, make(f"Payroll Office shared the folder bonus with you. {LETTER}", sender=sender))


def test_a_text_made_to_have_the_sketch_of_a_long_one_is_told_by_its_size() -> None:
    """Whoever copies just the words that a sketch holds gets no further than the sizes allow."""
    one = make()
    assert similarity(one, replace(one, size=one.size * 3)) <= 0.34


def test_the_recipients_own_organisation_leads_nowhere() -> None:
    """Colleagues' addresses and hosts, which differ from copy to copy, do not split a campaign."""
    assert belongs(make(), make(f"{LETTER} bo@it.contoso.com", links=["www.shop.example", "intra.contoso.com"]))


def test_a_telephone_number_in_the_subject_counts() -> None:
    """Callback phishing puts it there."""
    assert not belongs(make(subject="Call +1 888 555 0199"), make(subject="Call +1 888 555 0142"))


def test_a_callers_number_does_not_count() -> None:
    """A voice message tells its caller in subject and text, another one in each copy."""
    one, other = (
        make(f"{LETTER} You missed a call from {number}.", subject=f"Voice message from {number}")
        for number in ("+31 20 184 0332", "+31 20 813 0188")
    )
    assert belongs(one, other)


def test_where_answers_go_counts() -> None:
    """A clone that only wants to be answered changes nothing but Reply-To; the sender's own address is none."""
    assert not belongs(make(), make(reply_to=["eve@gmail.com"]))
    assert not belongs(make(reply_to=["bob@gmail.com"]), make(reply_to=["eve@gmail.com"]))
    assert belongs(make(), make(reply_to=["desk@sender.example"]))


def test_a_link_to_write_to_is_its_address() -> None:
    """With its scheme or without, an address is the same one."""
    assert make(f"{LETTER} mailto:eve@gmail.com") == make(f"{LETTER} eve@gmail.com")


def test_free_mailboxes_are_senders_of_their_own() -> None:
    """Two strangers at one provider are not one organisation."""
    assert not belongs(make(sender="bob@gmail.com"), make(sender="eve@gmail.com"))
    assert belongs(make(sender="Bob@Gmail.com"), make(sender="bob@gmail.com"))


def test_neighbours_on_shared_hosting_are_not_one_organisation() -> None:
    """Anybody can have a name below web.app, so the whole host counts."""
    assert not belongs(make(links=["good.web.app"]), make(links=["evil.web.app"]))


def test_the_end_of_an_overlong_text_has_to_be_equal() -> None:
    """What is too long to be compared by its words cannot hide an attack at its end."""
    long = f"{LETTER} " * (MAX_TEXT // len(LETTER) + 1)
    assert belongs(make(long + NOTE), make(long + NOTE))
    assert not belongs(make(long + NOTE), make(long + SPOOF))


# --- Properties -----------------------------------------------------------------------------------------------------


@given(any_text, any_text, hosts, any_text)
@example("\ud800", "\x00\r\n", ["\ud800"], "@")
@example("a" * 5_000, "1." * 3_000, ["." * 300], "\ufdfa" * 50)
def test_any_mail_has_a_fingerprint(text: str, subject: str, links: list[str], address: str) -> None:
    """Whatever strangers write is read, is like itself, and is stored and read back unchanged."""
    one = make(text, subject=subject, links=links, recipient=address, sender=f"a{address}", internet_message_id=address)
    assert similarity(one, one) == 1
    assert belongs(one, one)
    assert distance(one, one) == 0
    assert decode(encode(one)) == one


@given(st.lists(st.sampled_from(SENTENCES)), st.lists(st.sampled_from(SENTENCES)), st.booleans())
def test_comparing_has_no_direction(first: list[str], second: list[str], shares_id: bool) -> None:
    """Which of two mails came first changes nothing."""
    one = make(" ".join(first), network_message_id="1")
    other = make(" ".join(second), network_message_id="1" if shares_id else "2")
    assert similarity(one, other) == similarity(other, one)
    assert belongs(one, other) == belongs(other, one)
    assert distance(one, other) == distance(other, one)
    assert 0 <= distance(one, other) <= 1


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """Stored fingerprints meet those of other workers and later versions: this one must never change by accident."""
    script = (
        "from shared.domain.campaigns import encode\nfrom shared.domain.fingerprinting import fingerprint\n"
        "print(encode(fingerprint(claim='spam', sender='a@b.example', authentication='pass', subject='S', text='T 1',"
        " links=['c.example'], attachments=[], internet_message_id='<1>', network_message_id='2', recipient='r@c.d')))"
    )
    root = Path(__file__).resolve().parents[2]
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], cwd=root, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert runs == {b"BQAAAAIaMBJFRnTChSiIDYPAluAIaKkBUsBFBfV6id73Xfiw9imnnyvmB4I4mifDOpTmoUbuMd5k"}


@pytest.mark.parametrize("kept", [0.5, 0.8, 0.97])
def test_estimates_err_as_little_as_a_sketch_may(kept: float) -> None:
    """Over many long texts the estimate is unbiased, and its standard error is what the sketch's size promises."""
    chance = random.Random(20261123)  # noqa: S311 - sample data
    errors = []
    for _ in range(60):
        common, own, others = (
            [f"w{chance.choice('aeiou')}{chance.getrandbits(40):x}".translate(LETTERS) for _ in range(count)]
            for count in (round(kept * 600), *(2 * (round((1 - kept) * 600),)))
        )
        one, other = make(" ".join(common + own)), make(" ".join(common + others))
        true = len(common) / (len(common) + 2 * len(own))
        errors.append(similarity(one, other) - true)
    promised = (true * (1 - true) / SKETCH) ** 0.5
    assert abs(sum(errors) / len(errors)) < promised / 2
    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 1.5 * promised


LETTERS = str.maketrans("0123456789", "ghijklmnop")


def test_short_texts_are_compared_exactly() -> None:
    """Where the sketch holds all shingles, the similarity is no estimate."""
    one, other = make("alpha beta gamma delta", subject=""), make("alpha beta gamma delta epsilon", subject="")
    assert similarity(one, other) == 5 / 8


# --- Diversity ------------------------------------------------------------------------------------------------------


def test_far_members_are_another_sending_or_another_text() -> None:
    """Another id is further than another wording; the same mail delivered twice is no distance at all."""
    one = make(network_message_id="1", internet_message_id="<1>")
    assert distance(one, make(network_message_id="1")) == 0
    reworded = make(rewrite(3, NOTE), network_message_id="1")
    resent, both = make(network_message_id="2"), make(rewrite(3, NOTE), network_message_id="2")
    assert 0 < distance(one, reworded) < distance(one, resent) < distance(one, both)


# --- Storing --------------------------------------------------------------------------------------------------------


def test_a_fingerprint_fits_its_column() -> None:
    """The largest fingerprint takes at most 700 ASCII characters."""
    text = " ".join(f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(2_000))
    largest = make(text, internet_message_id="<1>", network_message_id="2")
    assert len(largest.sketch) == SKETCH < largest.size
    assert len(encode(largest)) <= 700
    assert encode(largest).isascii()


@given(st.one_of(any_text, st.binary(max_size=500).map(lambda octets: octets.hex())))
@example("")
@example("é")
@example("AAAA")
@example(encode(make())[:-4])
@example(encode(make()) + "AAAA")
@example(encode(make()) + "\n")
@example("/////////////////////////////////w==")
def test_other_text_is_no_fingerprint(text: str) -> None:
    """Text that `encode` did not write is refused by name."""
    with pytest.raises(UnreadableFingerprint):
        decode(text)


def test_a_fingerprint_in_another_form_is_refused() -> None:
    """Every fingerprint is written in one way only; a sketch out of order would compare wrongly without notice."""
    one = make(internet_message_id="<1>", network_message_id="2")
    packed = base64.b64decode(encode(one))
    ids_swapped = packed[:21] + packed[29:37] + packed[21:29] + packed[37:]
    others = [replace(one, sketch=one.sketch[::-1]), replace(one, ids=one.ids | {"0" * 16})]
    for text in [base64.b64encode(ids_swapped).decode(), *map(encode, others)]:
        with pytest.raises(UnreadableFingerprint):
            decode(text)


# --- Organisations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "organisation"),
    [
        ("News@Mail.Contoso.com", "contoso.com"),
        ("a@x.contoso.co.uk", "contoso.co.uk"),
        ("a@mail.contoso.com.br", "contoso.com.br"),
        ("a@contoso.com.au", "contoso.com.au"),
        ("a@contoso.de", "contoso.de"),
        ("Bob+x@Gmail.com", "bob+x@gmail.com"),
        ("bob@hotmail.co.uk", "bob@hotmail.co.uk"),
        ("bob@evil.onmicrosoft.com", "evil.onmicrosoft.com"),
        ("a@b@contoso.com", "contoso.com"),
        ("Your Bank", "your bank"),
        ("nobody@", "nobody@"),
        ("", ""),
    ],
)
def test_who_answers_for_an_address(address: str, organisation: str) -> None:
    """The registrable domain, or the whole address where strangers share the domain; other text as it stands."""
    assert sender_organisation(address) == organisation


@pytest.mark.parametrize(
    ("host", "organisation"),
    [
        ("a.b.Contoso.com.", "contoso.com"),
        ("www.contoso.co.jp", "contoso.co.jp"),
        ("203.0.113.7", "203.0.113.7"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("me.github.io", "me.github.io"),
        ("evil.blob.core.windows.net", "evil.blob.core.windows.net"),
        ("contoso-my.sharepoint.com", "contoso-my.sharepoint.com"),
        ("docs.google.com", "docs.google.com"),
        ("mail.google.com", "google.com"),
        ("bit.ly", "bit.ly"),
        ("localhost", "localhost"),
        ("", ""),
    ],
)
def test_who_answers_for_a_host(host: str, organisation: str) -> None:
    """The registrable domain, the whole host on shared hosting, an IP address as it is."""
    assert organisation_of_host(host) == organisation


def test_a_fingerprint_by_older_rules_is_read_and_joins_nothing_new() -> None:
    """What was stored before an update stays readable, but a lure that older rules let in must not be covered by it."""
    mail: dict[str, Any] = {"claim": "spam", "sender": "a@b.example", "authentication": "pass", "recipient": "r@c.d"}
    made = fingerprint(
        **mail,
        subject="S",
        text="T 1",
        links=["c.example"],
        attachments=[],
        internet_message_id="<1>",
        network_message_id="2",
    )
    older = decode("BQAAAAJbKWrDNgM2MGh+vyklzIKBaKkBUsBFBfV6id73Xfiw9imnnyvmB4I4mifDOpTmoUbuMd5k")
    assert made is not None
    assert similarity(made, older) == 1
    assert not belongs(made, older)


def test_words_too_long_for_words_have_to_be_equal() -> None:
    """A wallet, or what was never decoded, would hide behind one placeholder."""
    one, other = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    assert belongs(make(f"{LETTER} {one}"), make(f"{LETTER} {one}"))
    assert not belongs(make(f"{LETTER} {one}"), make(f"{LETTER} {other}"))
