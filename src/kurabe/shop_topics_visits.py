"""Topics of invented English-speaking schools and other houses: labels, wordings and answer sentences with slots.

Plain text, one topic per block; it knows nothing about values, shops, languages or models (`shops.py` fills it).
`#` kind and labels, `?` wordings, `?!` held-out wordings, `=` short form, `!` main sentences, `+` further sentences.
`[a|b]` is a choice, `{money1}` a slot, `{L}` one of the labels.
"""

VISITS = """
# money: the deposit / a deposit / the security deposit
? What do I [leave|pay] as [security|a deposit]?
? How much do you [keep|hold] [until I bring it back|as security]?
? Do you want money in advance?
? Is there a deposit?
? How much is the deposit?
? When do I get my deposit back?
?! Do I leave money as security?
?! How much is kept until I bring it back?
= {big1}, back in {range1}
! The deposit is {big1}.
! We take a deposit of {big1} and return it in {range1}.
+ You get it back within {range1}.
# money: a trial lesson / a trial session / the first class
? I [want|would like] to [try|test|see] [it|one class|a lesson] [before I join|first|once].
? Do you have a first lesson for [beginners|new people]?
? Can I come once and see if I like it?
? Can I try [a class|it] first?
? Is the first lesson free?
? What does a trial lesson cost?
?! I'd like to see if I enjoy it before I sign up.
?! May I test one class?
= {money1}, {mins1}
! A trial lesson costs {money1} and lasts {mins1}.
! The first class costs {money1}.
+ Book it at {url1}.
+ It is held on {day1} at {time1}.
# time: classes / the class schedule / lessons
? [On|At] which [day|evening|time] [do you teach|is the lesson|does the course meet]?
? When [do|does] the [group|class|course] [meet|start]?
? Which evenings do you teach?
? When are the classes?
? What days are lessons?
? How long is a class?
? How many people are in a class?
?! What evening does your teacher give lessons?
?! When does the group meet?
= {day1}, {time1}, {mins1}
! Classes are on {day1} at {time1}.
! Lessons last {mins1} and start at {time1} on {day1}.
+ A class has up to {n1} people.
+ The teacher is {name1}.
# date: registration / the registration deadline / enrolment / signing up
? How long can I still [register|join|enter my name]?
? What is the last day to [sign up|register|join]?
? Where do I put my name down?
? When is the registration deadline?
? How do I [register|enrol|sign up]?
? Until when can I sign up?
? What does registration cost?
?! What's the last day to put my name down?
?! Where do I enter my name for the course?
= until {date1}, {money1}
! Register by {date1}.
! Registration is open until {date1} at {url1}.
! Registration costs {money1} and closes on {date1}.
+ There are {n1} places.
# money: tuition / tuition fees / the course fee
? What do [parents|students|we] pay [for a term|per term|for the course]?
? How expensive is the [course|school|semester]?
? What is the price of [one term|a semester|the course]?
? How much is tuition?
? What does the course cost?
? Can I pay [the course|tuition] in parts?
?! How much do we pay you for one term?
?! What is the bill for one semester?
= {big1}
! The course costs {big1}.
! Tuition is {big1} per term.
+ You can pay in {n1} parts.
+ Brothers and sisters get {pct1} off.
# date: holidays / holiday closing / the holiday schedule
? [On|In] which [days|weeks] are you [away|closed|not there]?
? Is [anyone|somebody] there over [the holidays|Christmas]?
? When do you close for the holidays?
? When are you closed for holidays?
? Are you open on [Christmas|New Year|public holidays]?
? When do the holidays start?
?! Which days of the year is nobody there?
?! Is anyone working over the festive season?
= {date1} to {date2}
! We are closed from {date1} to {date2}.
! Holidays start on {date1}.
+ We open again on {date2} at {time1}.
# place: the location / your address / where you are
? [In|On] which [street|building|place] [are you|is it|do I find you]?
? How do I find [you|the building]?
? What do I type into my map?
? Where are you [located|]?
? What is your address?
? How do I get to you?
? Which bus goes there?
?! What street do I type into my map?
?! In which building can I find you?
= {place1}
! We are at {place1}.
! You find us at {place1}, {mins1} from the station.
+ Take bus {n1}.
# person: the manager / the person in charge / the head of the house
? Who is the [boss|head|leader]?
? Who [runs|leads|heads] [this place|the house|the team]?
? I want to [speak|talk] to the [boss|head|manager].
? Who is the manager?
? Who is in charge?
? Whom do I [ask|complain to]?
?! I want to talk to the boss. What's the name?
?! Who runs this place?
= {name1}
! The manager is {name1}.
! {name1} is in charge.
+ Write to {email1}.
# n: group size / groups / the group limit
? We are [many|a large family|a big party|thirty people]. [Is there a limit|Can we all come|Is that too many]?
? How [big|large] [can|may] a [group|party] be?
? What is the most people you take?
? How many people can [come|be in a group]?
? How large can a group be?
? Do groups get a discount?
?! We are very many people; is that a problem?
?! What's the most people you take at once?
= {n1} people, {pct1} off
! Groups can have up to {n1} people.
! Groups from {n1} people get {pct1} off.
+ Register groups {dur1} ahead.
# money: the room / a room / room rental
? What does [one|a] night cost?
? How much is it per night?
? We need a [room|space] for [a party|a meeting|two nights].
? How much is a room?
? What does a room cost per night?
? Can I rent a room [for a meeting|]?
?! What's the nightly rate?
?! We need a space for a party. Price?
= {big1} per night
! A room costs {big1} per night.
! Rooms cost from {big1} and hold {n1} people.
+ Weekends are {pct1} more.
# yn: wheelchair access / accessibility / the lift
? I [use|have] a wheelchair. Can I get in?
? I cannot [climb stairs|walk well]. [Is there a lift|How do I get in]?
? Are there stairs?
? Is it wheelchair accessible?
? Is there a lift?
? Can I come with a wheelchair?
?! I can't climb stairs. Is that a problem?
?! How do people who cannot walk get in?
= {yn1}, {place1}
! {yn1}, the entrance is at {place1}.
! {yn1}, there is a lift at {place1}.
+ Ring {phone1} for help.
# yn: photography / taking photos / filming
? Can I [use|bring] my camera?
? May we [film|take pictures|take photos] [inside|here]?
? Is a camera okay?
? Can I take photos?
? Is photography allowed?
? What does a photo permit cost?
?! May I use my camera inside?
?! Is it okay to film here?
= {yn1}, permit {money1}
! {yn1}, a photo permit costs {money1}.
! {yn1}, but not in {place1}.
+ Flash is not allowed.
# place: lost property / lost and found / a lost item
? I [left|forgot] my [umbrella|jacket|bag|phone] [with you|there|yesterday]. [Where is it|Who has it|Do you have it]?
? Did [somebody|anyone] find my [umbrella|bag|keys]?
? Where do lost things go?
? I lost something. Where do I ask?
? Where is the lost and found?
? How long do you keep lost items?
?! I left my scarf with you. Who has it?
?! Someone may have found my umbrella. Where is it?
= {place1}, {dur1}
! Lost items are kept at {place1}.
! We keep lost items for {dur1}.
+ Call {phone1}.
# money: lockers / a locker / storing bags
? Where [do|can] I [put|leave|keep|store] my [bag|coat|suitcase|things]?
? My bag is [heavy|big]. Can you keep it?
? Is there a place for bags and coats?
? Do you have lockers?
? Where can I leave my bag?
? What does a locker cost?
?! My suitcase is heavy. Can I put it somewhere?
?! Where may coats and bags stay?
= {money1}, {place1}
! Lockers cost {money1} and are at {place1}.
! A locker costs {money1} per day.
+ The code is {code1}.
# n: the age limit / the minimum age / age rules
? Can my [son|daughter|child] [come|take part|join]?
? From what age can [children|one] [come|join|take part]?
? My daughter is small. Is she too young?
? Is there an age limit?
? How old do I have to be?
? Can children come?
?! From which birthday may my son take part?
?! Is my daughter too young?
= {n1}
! The minimum age is {n1}.
! You must be at least {n1} years old.
+ Younger guests need a parent.
# policy: privacy / my data / data protection
? Who [sees|reads|gets] my data?
? Delete [my data|my account|everything about me].
? What do you [store|know|keep] about me?
? What do you do with my data?
? How long do you keep my data?
? How do I delete my account?
?! Who sees what I type in?
?! I want everything you stored about me erased.
= {dur1}, {email1}
! We keep data for {long1}.
! Write to {email1} to delete your data.
+ Deletion takes {range1}.
# date: the newsletter / the next event / the next sale
? What [happens|is planned|is coming] next?
? When [do prices drop|is there something special|is the next sale day]?
? Do you plan any events?
? When is the next [event|sale]?
? How do I get the newsletter?
? What is on next?
?! Is anything special coming up?
?! On what day do prices drop again?
= {date1}
! The next event is on {date1} at {time1}.
! The next sale starts on {date1} with {pct1} off.
+ Sign up at {url1}.
"""
