"""Topics of invented English-speaking hotels: labels, wordings and answer sentences with slots.

Plain text, one topic per block; it knows nothing about values, shops, languages or models (`shops.py` fills it).
`#` kind and labels, `?` wordings, `?!` held-out wordings, `=` short form, `!` main sentences, `+` further sentences.
`[a|b]` is a choice, `{money1}` a slot, `{L}` one of the labels.
"""

STAYS = """
# time: check-in / check-in time / arrival
? [From|At] [when|what time] [is my room ready|can we come|may I enter my room]?
? We arrive [early|late|in the morning|at night]. Is that fine?
? When do rooms open?
? What time is check-in?
? When can I [check in|get my room]?
? Can I arrive [early|late]?
?! From what time is the room ready?
?! How early may we come to the hotel?
= from {time1}
! Check-in is from {time1}.
! You can check in from {time1} to {time2}.
+ Early check-in costs {money1}.
+ After {time2} use the code {code1}.
# time: check-out / check-out time / departure
? By [when|what time] [must|do] we [leave|be out|go]?
? How late can I stay on the last day?
? When must the room be empty?
? What time is check-out?
? When do I have to leave [my|the] room?
? Can I check out late?
?! By when must we be gone on the last day?
?! Until what hour may I stay in bed on my last morning?
= until {time1}
! Check-out is until {time1}.
! Please leave the room by {time1}.
+ Late check-out costs {money1}.
# time: breakfast / the breakfast buffet / the morning meal
? What time do you serve [the morning meal|breakfast]?
? Can I [eat|have coffee] [in the morning|early]?
? Where do I get [coffee|food] in the morning?
? When is breakfast [served|]?
? Is breakfast included?
? How much is breakfast?
?! What can I eat in the morning and when?
?! Where do I get coffee and rolls after getting up?
= {hours1}, {money1}
! Breakfast is served from {hours1}.
! Breakfast costs {money1} and is served {hours1}.
+ It is in {place1}.
# money: parking / a parking space / the car park
? [I come|We come|I travel] by car. [Where do I leave it|Is there space|What do I do with it]?
? Is there [space|a place|somewhere] for [my|a] car?
? What do I pay for my car?
? Is there parking?
? Where can I park?
? How much is parking?
? Do you have a car park?
?! What do I do with my car?
?! Is there somewhere to leave the car, and what does it cost?
= {money1}, {place1}
! Parking costs {money1} per day.
! You can park at {place1} for {money1}.
! Parking is at {place1}.
+ There are {n1} spaces.
# code: the Wi-Fi / Wi-Fi / the internet password
? How do I [use|join|get] the [network|internet|Wi-Fi]?
? I need [internet|a network|Wi-Fi] [here|in my room].
? Which password do I need for the [network|internet]?
? What is the Wi-Fi password?
? Do you have Wi-Fi?
? How do I get online?
?! My phone needs a network here. Which password?
?! How do I connect to the internet?
= {code1}
! The Wi-Fi password is {code1}.
! Use the password {code1} for Wi-Fi.
+ The network works in {place1}.
# yn: pets / dogs / bringing a pet
? [My|Our] [dog|cat|puppy] [comes|travels] with [me|us]. Is that [fine|okay|allowed]?
? Do you take [animals|dogs|cats]?
? Can animals stay?
? Are [pets|dogs] allowed?
? Can I bring my [dog|cat|pet]?
? What does it cost to bring a dog?
?! May my puppy come along with me?
?! May animals come along?
= {yn1}, {money1}
! {yn1}, pets cost {money1} per night.
! {yn1}, but only in {place1}.
+ At most {n1} per guest.
"""
