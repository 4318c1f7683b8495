"""Topics of invented English-speaking clinics, museums and libraries: labels, wordings and answer sentences with slots.

Plain text, one topic per block; it knows nothing about values, shops, languages or models (`shops.py` fills it).
`#` kind and labels, `?` wordings, `?!` held-out wordings, `=` short form, `!` main sentences, `+` further sentences.
`[a|b]` is a choice, `{money1}` a slot, `{L}` one of the labels.
"""

PLACES = """
# money: admission / the entrance fee / a ticket / adult tickets
? What do [adults|grown-ups|visitors|children|families] pay [to enter|to come in|at the entrance|]?
? How much [must|do|will] we pay [to get in|to enter|for entry]?
? [Entry|Ticket|Entrance] price?
? How much is [a ticket|admission|entry|it to get in]?
? What does [entry|a ticket] cost?
? Do children pay [less|full price]?
? Is entry free?
?! What do I pay at the door?
?! How much for one grown-up?
= {money1}, children {money2}
! Admission is {money1} for adults.
! Adults pay {money1} and children {money2}.
! A ticket costs {money1}.
+ Children under {n1} enter free.
+ Families pay {big1}.
# money: the guided tour / tours / a guided tour
? Can [someone|a guide|anybody] [show|lead|take] us [around|through]?
? At what time does [the guide|a tour|the tour] start?
? I want to [join|book] a tour.
? [Do you have|Are there] guided tours?
? When is the [next |]tour?
? How long is the tour?
? What does a guided tour cost?
?! Could someone show us around?
?! Is there a guide who explains things?
= {time1}, {mins1}, {money1}
! Tours start at {time1} and last {mins1}.
! A guided tour costs {money1}.
! Guided tours are every {day1} at {time1}.
+ Groups have up to {n1} people.
+ Meet at {place1}.
# how: appointments / an appointment / booking an appointment
? How do I [arrange|reserve|set up] [a time|a visit|a meeting|a slot]?
? I [need|want|would like] to [see|meet|visit] someone [soon|this week|].
? Where can I book?
? How do I [make|book|get] an appointment?
? Can I come without an appointment?
? When is the next free appointment?
? How do I cancel an appointment?
?! I need to see someone. How do I arrange it?
?! Where do I reserve a time slot?
= {phone1}
! Call {phone1} to book an appointment.
! Book an appointment at {url1}.
! Appointments can be booked at {url1} or {phone1}.
+ An appointment lasts {mins1}.
+ Cancel at least {dur1} before.
# money: a missed appointment / a no-show / missing an appointment
? I [forgot|missed|cannot come to] my appointment. [What now|Do I pay|Will you charge me]?
? What if I [don't come|am not there|do not show up|stay away]?
? Is there a [penalty|charge] when I forget my appointment?
? What happens if I miss my appointment?
? Is there a fee for [not showing up|a missed appointment]?
?! I forgot to come today. Will you charge me?
?! Does it cost anything when I don't turn up?
= {money1}
! A missed appointment costs {money1}.
! If you miss it we charge {money1}.
+ Cancel {dur1} before to avoid it.
# person: the doctor / the doctor on duty / our physician
? Who [treats|examines|sees|checks] me?
? Which [physician|doctor|specialist] [works|is there] today?
? Tell me the name of the [doctor|physician].
? Who is the doctor [today|on duty]?
? Which doctor will I see?
? What is the doctor's name?
?! Who is going to examine me?
?! Tell me which physician treats me.
= Dr. {name1}
! The doctor on duty is Dr. {name1}.
! You will see Dr. {name1}.
+ Office hours are {hours1}.
+ The room is {place1}.
# list: what to bring / documents to bring / required documents
? What do I [pack|take with me|carry|put in my bag]?
? Which [papers|things|items|documents] [are needed|must I have|are required|do I take]?
? What must not be forgotten?
? What [should|do] I [need to |]bring?
? Which documents do I need?
? What do I need for my first visit?
?! What must be in my bag when I come?
?! Which papers are required?
= {things1}
! Please bring {things1}.
! You need {things1}.
+ Arrive {mins1} early.
# dur: test results / lab results / my results
? When [is|are] [the test|the laboratory|my test|my blood test] [finished|ready|done]?
? Do you have my results?
? How long does the [lab|laboratory] need?
? When do I get my [test |lab |]results?
? How long do results take?
? How do I see my results?
?! Has the laboratory finished, or how long does it need?
?! When can I know what the test says?
= {range1}
! Results are ready in {range1}.
! You get your results after {range1}.
+ You can read them at {url1}.
+ Call {phone1} with questions.
# money: vaccinations / a vaccination / the flu shot
? Do I [get|need] a [shot|jab] against flu?
? I want [protection|a shot|a jab|a vaccine] against flu.
? What does a [jab|vaccine|shot] cost?
? Do you [give|offer] vaccinations?
? How much is a flu shot?
? When can I get vaccinated?
?! I want protection against flu. What do I pay?
?! On which day do you give jabs?
= {money1}, {day1}
! A flu shot costs {money1}.
! Vaccinations are given on {day1} from {hours1}.
+ No appointment is needed.
+ It takes {mins1}.
# phone: the emergency number / the emergency line / the night line
? It is urgent. [Whom|Who] do I [ring|call|phone]?
? Which number [do I dial|works|is open] [at night|when you are closed|on weekends]?
? Something terrible happened. What do I do?
? What is the emergency number?
? Whom do I call in an emergency?
? Who helps me [at night|after hours]?
?! It's urgent and you're closed. Which number works?
?! Where do I ring when something terrible happens?
= {phone1}
! In an emergency call {phone1}.
! The emergency line is {phone1}.
+ It answers within {mins1}.
# dur: borrowing / the loan period / loans
? For how many [days|weeks] can I [have|take|keep|borrow] [it|a book|something]?
? When do I [bring|give|have to bring] [it|books|the book] back?
? How many [things|items] can I take home?
? How long can I [borrow|keep] a book?
? What is the loan period?
? How many books can I borrow?
? Can I renew my loan?
?! When must the books be back?
?! For how many weeks may I take something home?
= {dur1}, {n1} items
! You can borrow {n1} items for {dur1}.
! The loan period is {dur1}.
+ You can renew {n2} times.
+ Renew at {url1}.
# money: late fees / the late fee / overdue fines
? I am late [with my books|bringing it back|]. What do I [owe|pay]?
? What is the [penalty|fine] for [being late|late books|returning late]?
? I forgot to bring it back. Does that cost something?
? What [is the fee|happens] if I'm late?
? How much is the late fee?
? Do you charge for overdue [books|items]?
?! I kept it too long. What does that cost?
?! Is there a penalty for bringing it back late?
= {money1} per day
! Late items cost {money1} per day.
! The late fee is {money1} a day, at most {money2}.
+ The first {dur1} are free.
# money: the library card / a new card / a reader card
? How do I become a [reader|member of the library]?
? My card is [lost|gone|broken]. [Can I get a new one|What does another one cost]?
? Where do I get a card?
? How do I get a [library |]card?
? What does a card cost?
? I lost my card. What now?
?! I no longer have my card; how much is the next one?
?! How do I sign up as a reader?
= {money1}
! A card costs {money1} per year.
! A new card costs {money1}.
+ Get it at {place1}.
+ Children get it free.
"""
