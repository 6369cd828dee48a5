"""Who gets the mails: people of one tenant whose names senders put into greetings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A mailbox and whose it is."""

    local: str
    name: str

    @property
    def address(self) -> str:
        """The address of the mailbox."""
        return f"{self.local}@contoso.example"

    @property
    def first(self) -> str:
        """What a sender calls this person."""
        return self.name.split()[0]


PEOPLE = (
    Person("anna.keller", "Anna Keller"),
    Person("ben.okafor", "Ben Okafor"),
    Person("carla.rossi", "Carla Rossi"),
    Person("david.nguyen", "David Nguyen"),
    Person("elif.yilmaz", "Elif Yilmaz"),
    Person("frederik.holm", "Frederik Holm"),
    Person("grace.lee", "Grace Lee"),
    Person("hugo.moreau", "Hugo Moreau"),
    Person("ines.almeida", "Ines Almeida"),
    Person("jan.devries", "Jan de Vries"),
    Person("kenji.tanaka", "Kenji Tanaka"),
    Person("laura.jimenez", "Laura Jimenez"),
    Person("m.haddad", "Mariam Haddad"),
    Person("niklas.baum", "Niklas Baum"),
    Person("olga.petrova", "Olga Petrova"),
    Person("p.schmidt-weber", "Philippa Schmidt-Weber"),
    Person("quentin.dubois", "Quentin Dubois"),
    Person("rahul.mehta", "Rahul Mehta"),
    Person("sofia.lindqvist", "Sofia Lindqvist"),
    Person("tom.barker", "Tom Barker"),
    Person("ursula.vogt", "Ursula Vogt"),
    Person("wei.zhang", "Wei Zhang"),
)
