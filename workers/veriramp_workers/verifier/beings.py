"""Who may be meant by "someone": whoever is certainly alive, by a list of names and of nouns.

Public names: :func:`may_be_someone`, :func:`is_given_name`.

A name that is also a place's or a word's (Victoria, Jordan, Mark) is not on the list: "Anne Low is a person" tells it.
"""

from __future__ import annotations

from typing import Final


def may_be_someone(written: str) -> bool:
    """Say whether a name (Anne) or a description (the bald eagle) is one of a person or an animal."""
    *_, last = written.split()
    return last in _LIVING if written.startswith("the ") else written in _NAMES


def is_given_name(written: str) -> bool:
    """Say whether a name is one that a person is called by, without a surname."""
    return written in _NAMES


_NAMES_LISTED: Final = """
Ada Adam Adele Agnes Alan Albert Alex Alfred Alice Alison Amelia Amy Andrea Andrew Angela Anna Anne Anthony Arthur
Barbara Bea Beatrice Bella Ben Benjamin Bernard Bert Beth Betty Bruno Bo Bob Bobby Brenda Brian Carl Carla Carol
Caroline Catherine Cecilia Charles Charlie Chris Christine Christopher Claire Clara Claudia Cleo Colin Dan Daniel Dave
David Deborah Denise Dennis Diana Dora Dorothy Edith Eddie Edgar Edmund Edward Eleanor Elena Eli Elizabeth Ella Ellen
Elsa Emily Emma Eric Erica Erin Ernest Esther Eva Eve Evelyn Fae Felix Fiona Fred Frederick Frieda Gary Gemma George
Gerald Gina Gloria Greta Gustav Gwen Hannah Harold Harriet Harry Hazel Heather Helen Henry Herbert Hilda Howard Hugh
Ian Ida Igor Inga Irene Isabel Ivan James Jane Janet Jason Jasper Jean Jennifer Jenny Jeremy Jessica Jill Jim Jimmy
Joan Joe Johanna John Jonas Jonathan Joseph Josephine Judith Julia Julian Julie Karen Karl Kate Katherine Keith Ken
Kevin Lara Larry Laura Laurence Lena Leo Leonard Leslie Linda Lisa Liz Louis Louise Lucas Lucy Luke Lydia Margaret
Maria Marie Marion Marla Martha Martin Mary Matthew Max Michael Mike Miriam Molly Monica Nancy Naomi Natalie Nathan
Neil Nicholas Nicole Nigel Nina Nora Norman Oliver Olivia Oscar Otto Pamela Patricia Patrick Paul Paula Pauline Peter
Philip Phoebe Polly Priscilla Rachel Ralph Rebecca Rex Richard Rita Robert Roger Roland Rosa Rosemary Ruth Sally Sam
Samuel Sandra Sarah Sebastian Sharon Sheila Silvia Simon Sofia Sophia Sophie Stella Stephen Steve Stuart Susan Suzanne
Sylvia Teresa Theodore Theresa Thomas Tim Timothy Tina Toby Tom Tony Ursula Valerie Vera Vincent Walter Wendy William
Wilma Wren Xavier Yvonne Zoe
"""
_NAMES: Final = frozenset(_NAMES_LISTED.split())
_LIVING_LISTED: Final = """
man woman boy girl child baby person adult teenager teacher pupil student doctor nurse lawyer judge farmer baker
butcher miller fisherman hunter soldier sailor captain driver pilot cook waiter waitress tailor carpenter mason
plumber painter singer dancer musician poet king queen prince princess duke duchess knight monk nun priest bishop
mother father sister brother son daughter uncle aunt nephew niece cousin husband wife widow widower neighbour neighbor
friend guest owner tenant landlord manager employee worker clerk servant thief cat dog cow bull calf ox horse mare
foal donkey mule pig hog sow sheep lamb goat rabbit hare squirrel mouse rat hamster hedgehog mole badger fox wolf bear
lion lioness tiger leopard panther cheetah jaguar elephant giraffe zebra rhinoceros hippopotamus camel deer stag elk
moose otter beaver weasel monkey ape gorilla chimpanzee kangaroo koala whale dolphin seal walrus shark salmon trout
newt frog toad lizard snake crocodile turtle tortoise eagle hawk falcon owl raven crow magpie sparrow robin wren
swallow swan goose duck hen cock rooster chicken turkey peacock pigeon dove heron stork penguin ostrich parrot gull
ant bee wasp butterfly beetle spider
"""
_LIVING: Final = frozenset(_LIVING_LISTED.split())
